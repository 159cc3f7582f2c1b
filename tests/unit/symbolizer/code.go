// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"os"
	"strings"
)

type tree[K comparable] struct{ rows map[K]int }

func (t *tree[K]) add(k K) { t.rows[k]++ }

var sink int

func innermost(x int) int { sink += x; return x * sink }
func between(x int) int   { return innermost(x) + 1 }

func main() {
	t := tree[string]{map[string]int{}}
	for _, a := range os.Args {
		t.add(strings.ToUpper(a))
	}
	fmt.Println(len(t.rows), between(len(os.Args)))
}
