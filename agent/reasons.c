/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reasons.h"

#include "agent/base/macro.h"
#include "bpf/types.h"

static const struct {
	const char *frame, *id;
} reasons[] = {
	[REASON_NONE] = {"[unknown]", "unknown"},
	[REASON_NO_MAPPING] = {"[return address is not code]", "no_mapping"},
	[REASON_NO_RULE] = {"[no unwind information]", "no_rule"},
	[REASON_BAD_FRAME_POINTER] = {"[frame pointer chain broken]", "bad_frame_pointer"},
	[REASON_STACK_UNREADABLE] = {"[stack memory unreadable]", "stack_unreadable"},
	[REASON_STACK_LOOP] = {"[stack does not lead upwards]", "stack_loop"},
	[REASON_TOO_DEEP] = {"[stack cut: too deep]", "too_deep"},
	[REASON_COMPAT] = {"[32-bit process: user stack not walked]", "compat"},
	[REASON_NO_USER_STACK] = {"[no user registers]", "no_user_stack"},
	[REASON_COPY_TOO_SHORT] = {"[stack cut: first sight, deeper than the copy]",
				   "copy_too_short"},
	[REASON_FILE_BAD] = {"[file cannot be read]", "file_bad"},
	[REASON_LATE_DROPPED] = {"[stack cut: unwind rows not loaded in time]", "late_dropped"},
	[REASON_LOST_COUNT] = {"[lost: too many stacks in one interval]", "lost_count"},
	[REASON_STACK_UNKNOWN] = {"[stack lost: too many new ones at once]", "stack_unknown"},
	[REASON_EXEC] = {"[calling exec]", "exec"},
	[REASON_UNTRACKED_REGISTER] = {"[unwind rule needs an unknown register]",
				       "untracked_register"},
};
_Static_assert(ARRAY_SIZE(reasons) == REASON_MAX, "one text for each reason");

const char *reason_frame(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].frame : "[unknown reason]";
}

const char *reason_id(uint32_t reason)
{
	return reason < REASON_MAX ? reasons[reason].id : "unknown";
}
