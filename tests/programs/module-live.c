/* SPDX-License-Identifier: MIT */
/* A module to dlopen whose constructor tells the program at once what there is: its TLS has to be
 * ready in every thread by then. Built with static TLS, dynamic, and with TLS descriptors. */

#ifdef STATIC_TLS
#define MODEL __attribute__((tls_model("initial-exec")))
#else
#define MODEL
#endif

static __thread int value MODEL = 77;
static __thread int zeros[20] MODEL;

/* The program's. */
void loaded(int (*swap)(int));
void unloaded(void);

static int swap(int n)
{
	int old = value;

	for (int i = 0; i < 20; i++) {
		if (zeros[i] != (old == 77 ? 0 : old))
			return -1;
		zeros[i] = n;
	}
	value = n;
	return old;
}

__attribute__((constructor)) static void up(void)
{
	loaded(swap);
}

__attribute__((destructor)) static void down(void)
{
	unloaded();
}
