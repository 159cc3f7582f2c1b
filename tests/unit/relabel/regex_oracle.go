// SPDX-License-Identifier: Apache-2.0

// What Go's own regexp package makes of the lines that regex_lines.c reads, in the same form.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func unhex(s string) string {
	b, _ := hex.DecodeString(strings.Trim(s, "-"))
	return string(b)
}

func tohex(s string) string {
	if s == "" {
		return "-"
	}
	return hex.EncodeToString([]byte(s))
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		re, err := regexp.Compile(unhex(f[0]))
		if err != nil {
			fmt.Fprintf(out, "E %s\n", tohex(err.Error()))
			continue
		}
		text := unhex(f[1])
		m := re.FindStringSubmatchIndex(text)
		if m == nil {
			fmt.Fprintln(out, "N")
			continue
		}
		groups := strings.Trim(strings.ReplaceAll(fmt.Sprint(m), " ", ","), "[]")
		fmt.Fprintf(out, "M %s %s\n", groups, tohex(string(re.ExpandString(nil, unhex(f[2]), text, m))))
	}
}
