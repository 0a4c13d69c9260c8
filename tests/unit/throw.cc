// SPDX-License-Identifier: MIT
// throw.cc: what test_tls.c needs of C++: frames with destructors, exceptions caught and not.
#include <pthread.h>
#include <stdexcept>

extern "C" {
int cxxdestroyed;
void cxxcall(void (*fn)(void));
void *cxxuncaught(void *);
long cxxcatch(void (*between)(void));
void cxxthreadlocal(void);
int cxxtls;
}

namespace
{
struct Guard {
	~Guard() { cxxdestroyed++; }
};
struct Tls {
	Tls() { cxxtls++; }
	~Tls() { cxxtls--; }
	int n = 0;
};
thread_local Tls tls;
} // namespace

void cxxcall(void (*fn)(void))
{
	Guard g;
	fn();
}

void *cxxuncaught(void *)
{
	throw std::runtime_error("nobody catches this");
}

// The exception globals are per thread: other threads run while this one is in flight and caught.
long cxxcatch(void (*between)(void))
{
	try {
		Guard g;
		throw 42;
	} catch (int n) {
		between();
		try {
			throw;
		} catch (int m) {
			between();
			return n + m;
		}
	}
	return 0;
}

void cxxthreadlocal(void)
{
	tls.n++;
}
