/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers that every file may use: array sizes, cleanup attributes and ownership transfer.
 * A local that owns something is declared with a cleanup attribute and an initial value; it leaves
 * the function only through TAKE_PTR or TAKE_FD.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once: readers hand them calls that move a cursor. */
#define MIN(a, b)		  MACRO_CHOOSE(a, <, b, __COUNTER__)
#define MAX(a, b)		  MACRO_CHOOSE(a, >, b, __COUNTER__)
#define MACRO_CHOOSE(a, op, b, n) MACRO_CHOOSE_(a, op, b, n)
#define MACRO_CHOOSE_(a, op, b, n)                                          \
	({                                                                  \
		__typeof__(a) _choose_a##n = (a);                           \
		__typeof__(b) _choose_b##n = (b);                           \
		_choose_a##n op _choose_b##n ? _choose_a##n : _choose_b##n; \
	})

/*
 * Binary search: how many of the indices from `low` to `high` (not included) come before the place
 * that is sought, counted from 0: the first one for which `before`, an expression of the index `i`,
 * does not hold. It holds for the first ones only.
 */
#define PARTITION_POINT(i, low, high, before)                 \
	({                                                    \
		size_t _low = (low), _high = (high);          \
		while (_low < _high) {                        \
			size_t i = _low + (_high - _low) / 2; \
			if (before)                           \
				_low = i + 1;                 \
			else                                  \
				_high = i;                    \
		}                                             \
		_low;                                         \
	})

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* DEFINE_CLEANUP(struct x *, x_free) makes x_freep() for _cleanup_(x_freep). */
#define DEFINE_CLEANUP(type, func)                                  \
	static inline __attribute__((unused)) void func##p(type *p) \
	{                                                           \
		if (*p)                                             \
			func(*p);                                   \
	}
#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void macro_freep(void *p)
{
	free(*(void **)p);
}

static inline void macro_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void macro_fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_	 _cleanup_(macro_freep)
#define _cleanup_close_	 _cleanup_(macro_closep)
#define _cleanup_fclose_ _cleanup_(macro_fclosep)
#define _printf_(a, b)	 __attribute__((format(printf, a, b)))

#define TAKE_PTR(p)                        \
	({                                 \
		__typeof__(p) _take = (p); \
		(p) = NULL;                \
		_take;                     \
	})
#define TAKE_FD(fd)               \
	({                        \
		int _take = (fd); \
		(fd) = -1;        \
		_take;            \
	})
