/* SPDX-License-Identifier: MIT */
/* dlopen's flags, errors and relatives, called by threads: NOLOAD, GLOBAL, NODELETE, a name space
 * of its own, static TLS that does not fit, errors' texts per thread, dladdr, RTLD_NEXT,
 * dl_iterate_phdr with a function that blocks and creates threads; a constructor that takes its
 * time while many open at once. dlopen(3), dlsym(3), dl_iterate_phdr(3) */
#include "t.h"
#include <dlfcn.h>
#include <link.h>

static int seen, state_seen;

static bool loaded(const char *name)
{
	void *h = dlopen(module_path(name), RTLD_LAZY | RTLD_NOLOAD);

	if (h)
		MUST(dlclose(h) == 0);
	return h != NULL;
}

static void failing(void)
{
	void *h = dlopen(module_path("module-big.so"), RTLD_NOW);
	const char *e = dlerror();

	say("too big: %d, \"%s\"", h == NULL, e ? strrchr(e, ':') + 2 : "nil");
	MUST(!dlopen("/nonexistent/x.so", RTLD_NOW));
	e = dlerror();
	say("missing: %s", e);
	MUST(!dlopen("/proc/self/maps", RTLD_NOW));
	e = dlerror();
	say("not a module: %s", e ? strrchr(e, ':') + 2 : "nil");
	MUST(!dlsym(RTLD_DEFAULT, "no_such_symbol_at_all"));
	e = dlerror();
	say("no symbol: %d", e && strstr(e, "no_such_symbol_at_all") != NULL);
	say("no error: %d", dlerror() == NULL);
	MUST(dlclose((void *)&seen) == -1);
	say("bad handle: %s", dlerror() ? "told" : "not told");
	MUST(!dlopen(module_path("module-plain.so"), 0));
	e = dlerror();
	say("no mode: %s", e ? strrchr(e, ':') + 2 : "nil");
}

static void flags(void)
{
	const char *plain = "module-plain.so";

	say("before: %d", loaded(plain));
	void *h = dlopen(module_path(plain), RTLD_NOW | RTLD_LOCAL), *h2;
	MUST(h);
	say("local: %d, global %d", loaded(plain), dlsym(RTLD_DEFAULT, "answer") != NULL);
	h2 = dlopen(module_path(plain), RTLD_LAZY | RTLD_GLOBAL);
	say("the same: %d, global %d", h == h2, dlsym(RTLD_DEFAULT, "answer") != NULL);
	int (*answer)(void) = (int (*)(void))dlsym(h, "answer");
	Dl_info info;
	MUST(dladdr((void *)answer, &info) != 0 && strstr(info.dli_fname, plain));
	say("dladdr: %s", info.dli_sname);
	say("answer: %d %d", answer(), answer());
	MUST(dlclose(h) == 0 && loaded(plain) && dlclose(h2) == 0);
	say("closed: %d", loaded(plain));
	h = dlopen(module_path(plain), RTLD_NOW | RTLD_NODELETE);
	MUST(h && dlclose(h) == 0);
	say("nodelete: %d", loaded(plain));
	void *self = dlopen(NULL, RTLD_NOW);
	say("self: %d, main %d", self != NULL, dlsym(self, "main") == dlsym(RTLD_DEFAULT, "main"));
	say("next: %d", dlsym(RTLD_NEXT, "malloc") != NULL && dlsym(RTLD_NEXT, "read") != NULL);
	void *other = dlmopen(LM_ID_NEWLM, module_path("module-tls-late.so"), RTLD_NOW);
	if (!other)
		say("%s", dlerror());
	MUST(other);
	int (*bump)(int) = (int (*)(int))dlsym(other, "bump");
	Lmid_t ns = LM_ID_BASE;
	MUST(dlinfo(other, RTLD_DI_LMID, &ns) == 0);
	say("name space: %d, %d %d", ns != LM_ID_BASE, bump(1), bump(1));
	MUST(dlclose(other) == 0);
}

static void *nothing(void *arg)
{
	return arg;
}

static int each(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info;
	MUST(size >= sizeof *info && info->dlpi_phnum > 0);
	seen++;
	usleep(10);
	if (seen == 2)
		MUST(finish(start(nothing, arg)) == arg);
	return 0;
}

static void *iterates(void *arg)
{
	for (int i = 0; i < 3; i++) {
		seen = 0;
		MUST(dl_iterate_phdr(each, arg) == 0);
		MUST(seen > 3);
	}
	return NULL;
}

static void *all(void *arg)
{
	failing();
	flags();
	iterates("x");
	say("iterated %s", (char *)arg);
	return NULL;
}

static void *opens_slow(void *arg)
{
	void *h = dlopen(module_path("module-slow.so"), RTLD_NOW);

	MUST(h);
	int n = ((int (*)(void))dlsym(h, "ready"))();
	__atomic_add_fetch(&state_seen, n == 42, __ATOMIC_SEQ_CST);
	usleep((useconds_t)(intptr_t)arg);
	MUST(dlclose(h) == 0);
	return arg;
}

int main(void)
{
	pthread_t t[40];

	finish(start(all, "in a thread"));
	for (int round = 0; round < 3; round++) {
		state_seen = 0;
		for (int i = 0; i < NELEM(t); i++)
			t[i] = start_small(opens_slow, (void *)(intptr_t)(i * 10));
		for (int i = 0; i < NELEM(t); i++)
			finish(t[i]);
		say("constructed first: %d, unloaded: %d", state_seen == NELEM(t),
		    !loaded("module-slow.so"));
	}
	return 0;
}
