/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel, these privileges and this build can do. */
#pragma once

/* Says on stderr why profiling was refused with the negative errno r, and the cure. */
void check_explain(int r);
