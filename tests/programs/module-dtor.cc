// SPDX-License-Identifier: MIT
// A module to dlopen with thread_local objects that are made by code and destroyed by code of this
// module, which a thread may need long after dlclose.
#include <string>
#include <unistd.h>
#include <vector>

extern "C" {
// The program's.
void gone(int id);
int use(int id);
const char *blows_up(int id);
}

static int users;

struct object {
	std::vector<int> v;
	std::string name;
	object() : v(300, 1), name(100, 'n')
	{
		__atomic_add_fetch(&users, 1, __ATOMIC_SEQ_CST);
	}
	~object()
	{
		usleep(50); // may block
		gone(v[0]);
		v.assign(300, -1);
	}
};

static thread_local object mine;
static thread_local int after = users * 0 + 7;

int use(int id)
{
	if (mine.name.size() != 100 || mine.v.size() != 300 || after < 7)
		return -1;
	if (mine.v[299] == 1)
		mine.v.assign(300, id);
	after++;
	return mine.v[0];
}

// Throws and catches here; throws to the program.
const char *blows_up(int id)
{
	try {
		throw std::string("inner");
	} catch (const std::string &s) {
		throw id;
	}
}
