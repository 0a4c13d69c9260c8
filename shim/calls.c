/* SPDX-License-Identifier: MIT
 *
 * calls.c: calls that are marked and nothing else, made from the lines of calls.def.
 *
 * MARK: over in a moment as a rule (the kernel's caches know the answer), but a disk or a network
 * file system may have to be asked. The mark costs next to nothing; sysmon takes the P if the call
 * lasts. BLOCK: known to wait, so that the P is given away first.
 *
 * Those that are cancellation points are so inside libc's function, which is called.
 */
#include "io.h"

#define CALL1(how, ret, name, A)                                                                   \
	EXPORT ret name(A a)                                                                       \
	{                                                                                          \
		return how(REAL(name)(a));                                                         \
	}
#define CALL2(how, ret, name, A, B)                                                                \
	EXPORT ret name(A a, B b)                                                                  \
	{                                                                                          \
		return how(REAL(name)(a, b));                                                      \
	}
#define CALL3(how, ret, name, A, B, C)                                                             \
	EXPORT ret name(A a, B b, C c)                                                             \
	{                                                                                          \
		return how(REAL(name)(a, b, c));                                                   \
	}
#define CALL4(how, ret, name, A, B, C, D)                                                          \
	EXPORT ret name(A a, B b, C c, D d)                                                        \
	{                                                                                          \
		return how(REAL(name)(a, b, c, d));                                                \
	}
#define CALL5(how, ret, name, A, B, C, D, E)                                                       \
	EXPORT ret name(A a, B b, C c, D d, E e)                                                   \
	{                                                                                          \
		return how(REAL(name)(a, b, c, d, e));                                             \
	}
#define CALL6(how, ret, name, A, B, C, D, E, F)                                                    \
	EXPORT ret name(A a, B b, C c, D d, E e, F f)                                              \
	{                                                                                          \
		return how(REAL(name)(a, b, c, d, e, f));                                          \
	}
#define PICK(a, b, c, d, e, f, call, ...) call
#define CALL(how, ret, name, ...)                                                                  \
	PICK(__VA_ARGS__, CALL6, CALL5, CALL4, CALL3, CALL2, CALL1, )(how, ret, name, __VA_ARGS__)

#define MARK(ret, name, ...) CALL(MARKED, ret, name, __VA_ARGS__)
#define MARK64(ret, name, ...) MARK(ret, name, __VA_ARGS__) MARK(ret, name##64, __VA_ARGS__)
#define BLOCK(ret, name, ...) CALL(MARKEDBLOCK, ret, name, __VA_ARGS__)
#include "calls.def"
