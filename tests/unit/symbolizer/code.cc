// SPDX-License-Identifier: Apache-2.0
// Long names: templates, lambdas, local classes.
#include <functional>
#include <map>
#include <regex>
#include <string>

template <class T> struct table {
	std::map<T, std::string> rows;
	void add(const T &t) { rows[t] += "x"; }
};

int main(int argc, char **argv)
{
	table<int> a;
	table<std::string> b;
	std::function<int(int)> next = [&](int x) { return x + argc; };

	a.add(next(argc));
	b.add(argv[0]);
	return std::regex_search(std::string(argv[0]), std::regex("a+(b|c)*"));
}
