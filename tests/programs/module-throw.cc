// SPDX-License-Identifier: MIT
// A module whose constructor throws what the program's thrown() says.
#include <stdexcept>

extern "C" int thrown();

__attribute__((constructor)) static void up()
{
	int n = thrown();

	if (n == 1)
		throw std::runtime_error("from a constructor");
	if (n > 1)
		throw n;
}
