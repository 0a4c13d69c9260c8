/* SPDX-License-Identifier: MIT
 *
 * golang.c: programs that have Go's own runtime in them, and so run on a scheduler already.
 *
 * With cgo such a program is linked dynamically and makes its kernel threads by pthread_create, so
 * the library is loaded and asked for threads. But Go's runtime makes system calls past libc:
 * rt_sigaction (for SIGURG too, by which it preempts as we do), rt_sigprocmask, sigaltstack,
 * gettid, futex, epoll. It takes its threads to be the kernel's, each with the alternate stack and
 * the id that it saw at the thread's birth. A thread that goes on on another kernel thread gets its
 * signals on a stack that is not its own, and Go ends the process. There is nothing to gain, so
 * threads stay the kernel's.
 *
 * Go's linker marks its programs and libraries by a note, unless it was told to leave the build's
 * id empty; cgo exports crosscall2 in any case. (Binaries of gccgo have neither: that one calls
 * libc.) A Go library which is opened while the pool is running comes too late.
 *
 * Takes the loader's lock: once, while the process has one thread.
 */
#include "runtime.h"
#include <link.h>
#include <string.h>

static bool gonote(const char *p, const char *end)
{
	while ((size_t)(end - p) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const void *)p;
		size_t name = (n->n_namesz + 3ul) & ~3ul, desc = (n->n_descsz + 3ul) & ~3ul;

		p += sizeof *n;
		if (name > (size_t)(end - p) || desc > (size_t)(end - p) - name)
			return false;
		if (n->n_namesz == 4 && memcmp(p, "Go\0", 4) == 0)
			return true;
		p += name + desc;
	}
	return false;
}

/* A segment of the file that is in memory as well. */
static bool loaded(const struct dl_phdr_info *info, const ElfW(Phdr) * seg)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t off = seg->p_vaddr - ph->p_vaddr;
		if (ph->p_type == PT_LOAD && (ph->p_flags & PF_R) && off < ph->p_memsz &&
		    seg->p_memsz <= ph->p_memsz - off)
			return true;
	}
	return false;
}

static int gomodule(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		const char *p = (const char *)(info->dlpi_addr + ph->p_vaddr);

		/* Notes aligned to 8 are laid out otherwise, and are not Go's. */
		if (ph->p_type == PT_NOTE && ph->p_align <= 4 && loaded(info, ph) &&
		    gonote(p, p + ph->p_memsz))
			return 1;
	}
	return 0;
}

bool hasgolang(void)
{
	return programsym("crosscall2") != NULL || dl_iterate_phdr(gomodule, NULL) != 0;
}
