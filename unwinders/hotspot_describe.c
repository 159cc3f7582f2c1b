/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises libjvm by the tables it exports and finds in them what the walk and the names need.
 * Their pointers are relocations (RELA RELATIVE; the bytes in the file are taken where there is
 * none, as for RELR), so the file alone shows the strings. Field names of all versions from 8 to
 * 28 are in one list; a version above ours is tried. Hostile input: everything is bounded.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "agent/base/cursor.h"
#include "symbolizer/objfile.h"
#include "unwinders/hotspot.h"
#include "unwinders/runtime.h"

#define NAME_MAX_BYTES	64
#define SYMBOLS_MAX	(1u << 20)
#define RELOCATIONS_MAX (8u << 20)

struct wanted {
	uint8_t index;
	const char *type, *name;
};

static const struct wanted fields[] = {
	{HF_BLOB_NAME, "CodeBlob", "_name"},
	{HF_BLOB_SIZE, "CodeBlob", "_size"},
	{HF_BLOB_FRAME_SIZE, "CodeBlob", "_frame_size"},
	{HF_BLOB_FRAME_COMPLETE, "CodeBlob", "_frame_complete_offset"},
	{HF_BLOB_CODE_BEGIN, "CodeBlob", "_code_begin"},
	{HF_BLOB_CODE_OFFSET, "CodeBlob", "_code_offset"},
	{HF_BLOB_CODE_END, "CodeBlob", "_code_end"},
	{HF_BLOB_DATA_OFFSET, "CodeBlob", "_data_offset"},
	{HF_BLOB_RELOCATION_SIZE, "CodeBlob", "_relocation_size"},
	{HF_BLOB_MUTABLE_DATA, "CodeBlob", "_mutable_data"},
	{HF_NM_COMPILE_ID, "nmethod", "_compile_id"},
	{HF_NM_ORIG_PC, "nmethod", "_orig_pc_offset"},
	{HF_NM_METHOD, "nmethod", "_method"},
	{HF_NM_METHOD, "CompiledMethod", "_method"},
	{HF_NM_DEOPT_BEGIN, "CompiledMethod", "_deopt_handler_begin"},
	{HF_NM_DEOPT_MH_BEGIN, "CompiledMethod", "_deopt_mh_handler_begin"},
	{HF_NM_DEOPT_OFFSET, "nmethod", "_deoptimize_offset"},
	{HF_NM_DEOPT_OFFSET, "nmethod", "_deopt_handler_offset"},
	{HF_NM_DEOPT_OFFSET, "nmethod", "_deopt_handler_entry_offset"},
	{HF_NM_DEOPT_MH_OFFSET, "nmethod", "_deoptimize_mh_offset"},
	{HF_NM_DEOPT_MH_OFFSET, "nmethod", "_deopt_mh_handler_offset"},
	{HF_NM_SCOPES_DATA_BEGIN, "CompiledMethod", "_scopes_data_begin"},
	{HF_NM_SCOPES_DATA_OFFSET, "nmethod", "_scopes_data_offset"},
	{HF_NM_SCOPES_PCS_OFFSET, "nmethod", "_scopes_pcs_offset"},
	{HF_NM_DEPENDENCIES_OFFSET, "nmethod", "_dependencies_offset"},
	{HF_NM_METADATA_OFFSET, "nmethod", "_metadata_offset"},
	{HF_NM_IMMUTABLE_DATA, "nmethod", "_immutable_data"},
	{HF_NM_IMMUTABLE_SIZE, "nmethod", "_immutable_data_size"},
	{HF_NM_REF_COUNT_OFFSET, "nmethod", "_immutable_data_ref_count_offset"},
	{HF_PC_DESC_PC, "PcDesc", "_pc_offset"},
	{HF_PC_DESC_SCOPE, "PcDesc", "_scope_decode_offset"},
	{HF_METHOD_CONST, "Method", "_constMethod"},
	{HF_CONST_CONSTANTS, "ConstMethod", "_constants"},
	{HF_CONST_CODE_SIZE, "ConstMethod", "_code_size"},
	{HF_CONST_FLAGS, "ConstMethod", "_flags"},
	{HF_CONST_FLAGS, "ConstMethod", "_flags._flags"},
	{HF_CONST_NAME, "ConstMethod", "_name_index"},
	{HF_CONST_SIGNATURE, "ConstMethod", "_signature_index"},
	{HF_POOL_HOLDER, "ConstantPool", "_pool_holder"},
	{HF_POOL_SOURCE_FILE, "ConstantPool", "_source_file_name_index"},
	{HF_KLASS_SOURCE_FILE, "InstanceKlass", "_source_file_name_index"},
	{HF_KLASS_NAME, "Klass", "_name"},
	{HF_KLASS_LOADER, "Klass", "_class_loader_data"},
	{HF_LOADER_OBJECT, "ClassLoaderData", "_class_loader"},
	{HF_LOADER_NEXT, "ClassLoaderData", "_next"},
	{HF_LOADER_ONE_CLASS, "ClassLoaderData", "_has_class_mirror_holder"},
	{HF_LOADER_ONE_CLASS, "ClassLoaderData", "_is_anonymous"},
	{HF_SYMBOL_LENGTH, "Symbol", "_length"},
	{HF_SYMBOL_LENGTH_AND_REFCOUNT, "Symbol", "_length_and_refcount"},
	{HF_SYMBOL_BODY, "Symbol", "_body"},
	{HF_GROWABLE_LEN, "GenericGrowableArray", "_len"},
	{HF_GROWABLE_LEN, "GrowableArrayBase", "_len"},
	{HF_GROWABLE_DATA, "GrowableArray<int>", "_data"},
	{HF_HEAP_MEMORY, "CodeHeap", "_memory"},
	{HF_HEAP_SEGMAP, "CodeHeap", "_segmap"},
	{HF_HEAP_SHIFT, "CodeHeap", "_log2_segment_size"},
	{HF_SPACE_LOW_BOUNDARY, "VirtualSpace", "_low_boundary"},
	{HF_SPACE_HIGH_BOUNDARY, "VirtualSpace", "_high_boundary"},
	{HF_SPACE_LOW, "VirtualSpace", "_low"},
	{HF_BLOCK_HEADER, "HeapBlock", "_header"},
	{HF_BLOCK_USED, "HeapBlock::Header", "_used"},
	{HF_Z_LOAD_BAD, "ZGlobalsForVMStructs", "_ZPointerLoadBadMask"},
	{HF_Z_LOAD_SHIFT, "ZGlobalsForVMStructs", "_ZPointerLoadShift"},
	{HF_COLLECTIONS, "CollectedHeap", "_total_collections"},
};

static const struct wanted statics[] = {
	{HS_HEAP, "CodeCache", "_heap"},
	{HS_HEAPS, "CodeCache", "_heaps"},
	{HS_CALL_STUB_RETURN, "StubRoutines", "_call_stub_return_address"},
	{HS_RETURN_BARRIER, "StubRoutines", "_cont_returnBarrier"},
	{HS_VM_MAJOR, "Abstract_VM_Version", "_vm_major_version"},
	{HS_NARROW_BASE, "CompressedOops", "_narrow_oop._base"},
	{HS_NARROW_BASE, "CompressedOops", "_base"},
	{HS_NARROW_SHIFT, "CompressedOops", "_narrow_oop._shift"},
	{HS_NARROW_SHIFT, "CompressedOops", "_shift"},
	{HS_ENTRY_RETURN, "ContinuationEntry", "_return_pc"},
};

static const char *const types[HT_MAX] = {
	[HT_BLOCK] = "HeapBlock",
	[HT_CONST_METHOD] = "ConstMethod",
	[HT_CONSTANT_POOL] = "ConstantPool",
	[HT_PC_DESC] = "PcDesc",
};

static const char *const flags[HG_MAX] = {
	[HG_COMPRESSED_OOPS] = "UseCompressedOops",
	[HG_COMPRESSED_CLASS_POINTERS] = "UseCompressedClassPointers",
	[HG_COMPACT_OBJECT_HEADERS] = "UseCompactObjectHeaders",
};

/* Exported names; the first two are the tables. */
#define TABLE_STRUCTS HL_MAX
#define TABLE_TYPES   (HL_MAX + 1)
#define EXPORTS	      (HL_MAX + 2)
static const char *const exports[EXPORTS] = {
	[HL_STRUCT_STRIDE] = "gHotSpotVMStructEntryArrayStride",
	[HL_STRUCT_OFFSET] = "gHotSpotVMStructEntryOffsetOffset",
	[HL_STRUCT_ADDRESS] = "gHotSpotVMStructEntryAddressOffset",
	[HL_TYPE_STRIDE] = "gHotSpotVMTypeEntryArrayStride",
	[HL_TYPE_SIZE] = "gHotSpotVMTypeEntrySizeOffset",
	[TABLE_STRUCTS] = "gHotSpotVMStructs",
	[TABLE_TYPES] = "gHotSpotVMTypes",
};

/* ---- the file ---- */

static const char *text(const struct objfile *o, uint64_t vaddr, size_t max)
{
	/* Strings end long before the end of their segment; those that do not are looked at short.
	 */
	for (size_t n = max; n; n /= 2) {
		const char *s = vaddr ? (const char *)objfile_at_vaddr(o, vaddr, n) : NULL;

		if (s)
			return memchr(s, '\0', n) ? s : NULL;
	}
	return NULL;
}

static int find_exports(struct objfile *o, uint64_t ret[EXPORTS])
{
	struct objfile_section dynsym, strings;
	size_t found = 0;

	if (objfile_section_by_type(o, SHT_DYNSYM, &dynsym) < 0 || !dynsym.data ||
	    objfile_section_at(o, dynsym.link, &strings) < 0 || !strings.data)
		return -ENODATA;
	for (size_t i = 0; i < MIN(dynsym.size / sizeof(Elf64_Sym), (size_t)SYMBOLS_MAX); i++) {
		struct cursor name = cursor_of(strings.data, strings.size);
		const char *s;
		Elf64_Sym sym;

		memcpy(&sym, dynsym.data + i * sizeof(sym), sizeof(sym));
		cursor_skip(&name, sym.st_name);
		if (sym.st_shndx == SHN_UNDEF || cursor_left(&name) < 8 ||
		    memcmp(name.p, "gHotSpot", 8) != 0)
			continue;
		s = cursor_cstr(&name, NAME_MAX_BYTES);
		for (size_t k = 0; s && k < EXPORTS; k++) {
			if (!strcmp(s, exports[k]) && !ret[k]) {
				ret[k] = sym.st_value;
				found += sym.st_value != 0;
			}
		}
	}
	return found == EXPORTS ? 0 : -ENODATA;
}

/* The words of memory at vaddr as the dynamic linker leaves them, with a load bias of 0. */
static void load_words(struct objfile *o, uint64_t vaddr, uint64_t *words, size_t n)
{
	struct objfile_section s;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = objfile_at_vaddr(o, vaddr + 8 * i, 8);

		words[i] = 0;
		if (p)
			memcpy(&words[i], p, 8);
	}
	for (uint32_t k = 0; k < objfile_section_count(o); k++) {
		if (objfile_section_at(o, k, &s) < 0 || s.type != SHT_RELA || !s.data)
			continue;
		for (size_t i = 0; i < MIN(s.size / sizeof(Elf64_Rela), (size_t)RELOCATIONS_MAX);
		     i++) {
			Elf64_Rela rela;

			memcpy(&rela, s.data + i * sizeof(rela), sizeof(rela));
			if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE &&
			    rela.r_offset - vaddr < 8 * n && (rela.r_offset - vaddr) % 8 == 0)
				words[(rela.r_offset - vaddr) / 8] = (uint64_t)rela.r_addend;
		}
	}
}

static uint64_t load_word(struct objfile *o, uint64_t vaddr)
{
	uint64_t word;

	load_words(o, vaddr, &word, 1);
	return word;
}

/* ---- the tables ---- */

static bool is(const char *s, const char *wanted)
{
	return s && !strcmp(s, wanted);
}

/* table: address of the variable JVMFlag::flags, which points to the flags. */
static void take_struct(const struct objfile *o, const uint64_t *entry, size_t index,
			struct hotspot_file *f, uint64_t *table)
{
	const char *type = text(o, entry[0], NAME_MAX_BYTES);
	const char *name = text(o, entry[1], NAME_MAX_BYTES), *kind;
	bool is_static = (uint32_t)entry[3];

	if (!type || !name)
		return;
	for (size_t i = 0; !is_static && i < ARRAY_SIZE(fields); i++) {
		if (!is(type, fields[i].type) || !is(name, fields[i].name) ||
		    f->fields[fields[i].index] != HOTSPOT_NONE)
			continue;
		f->fields[fields[i].index] = (uint16_t)index;
		kind = text(o, entry[2], NAME_MAX_BYTES);
		if (fields[i].index == HF_BLOB_FRAME_COMPLETE && is(kind, "int16_t"))
			f->frame_complete_bytes = 2;
	}
	for (size_t i = 0; is_static && i < ARRAY_SIZE(statics); i++) {
		if (is(type, statics[i].type) && is(name, statics[i].name))
			f->statics[statics[i].index] = entry[5];
	}
	if (is_static && is(type, "ZGlobalsForVMStructs") && is(name, "_instance_p"))
		f->z_globals = entry[5];
	if (is_static && is(type, "PerfMemory") && is(name, "_start"))
		f->counters = entry[5];
	if (is_static && is(type, "Universe") && is(name, "_collectedHeap"))
		f->collected = entry[5];
	if (is_static && is(type, "JVMFlag") && is(name, "flags"))
		*table = entry[5];
	if (is_static && is(type, "StubRoutines")) {
		if (!f->n_stubs)
			f->stubs_first = (uint16_t)index;
		f->n_stubs = (uint16_t)(index - f->stubs_first + 1);
	}
}

static int read_structs(struct objfile *o, struct hotspot_file *f, uint64_t *flag_table)
{
	size_t words = HOTSPOT_STRUCT_BYTES / 8;
	_cleanup_free_ uint64_t *table = calloc(HOTSPOT_STRUCTS_MAX, HOTSPOT_STRUCT_BYTES);

	if (!table)
		return -ENOMEM;
	load_words(o, f->structs, table, HOTSPOT_STRUCTS_MAX * words);
	for (size_t i = 0; i < HOTSPOT_STRUCTS_MAX && table[i * words]; i++)
		take_struct(o, table + i * words, i, f, flag_table);
	return 0;
}

/* The variables of the flags. An entry of 16 and later (jvmFlag.hpp): address, name, two ints. */
static int read_flags(struct objfile *o, uint64_t at, struct hotspot_file *f)
{
	_cleanup_free_ uint64_t *table = calloc(HOTSPOT_FLAGS_MAX, HOTSPOT_FLAG_BYTES);
	size_t words = HOTSPOT_FLAG_BYTES / 8;

	if (!table)
		return -ENOMEM;
	if (at)
		load_words(o, at, table, HOTSPOT_FLAGS_MAX * words);
	for (size_t i = 0; i < HOTSPOT_FLAGS_MAX && table[i * words + 1]; i++) {
		const char *name = text(o, table[i * words + 1], NAME_MAX_BYTES);

		for (size_t k = 0; name && k < HG_MAX; k++) {
			if (!strcmp(name, flags[k]))
				f->flags[k] = table[i * words];
		}
	}
	return 0;
}

static int read_types(struct objfile *o, struct hotspot_file *f)
{
	size_t words = HOTSPOT_TYPE_BYTES / 8;
	_cleanup_free_ uint64_t *table = calloc(HOTSPOT_TYPES_MAX, HOTSPOT_TYPE_BYTES);

	if (!table)
		return -ENOMEM;
	load_words(o, f->types, table, HOTSPOT_TYPES_MAX * words);
	for (size_t i = 0; i < HOTSPOT_TYPES_MAX && table[i * words]; i++) {
		const char *name = text(o, table[i * words], NAME_MAX_BYTES);

		for (size_t k = 0; name && k < HT_MAX; k++) {
			if (!strcmp(name, types[k]))
				f->type_index[k] = (uint16_t)i;
		}
	}
	return 0;
}

int hotspot_describe(struct objfile *o, struct runtime_description *ret)
{
	uint64_t symbols[EXPORTS] = {0};
	struct hotspot_file f = {.frame_complete_bytes = 4};
	uint64_t flag_table = 0;
	int r;

	if (objfile_machine(o) != EM_X86_64)
		return -ENODATA; /* of aarch64 the frames are not known here */
	r = find_exports(o, symbols);
	if (r < 0)
		return r;
	memset(f.fields, 0xff, sizeof(f.fields));
	memset(f.type_index, 0xff, sizeof(f.type_index));
	memcpy(f.layout, symbols, HL_MAX * sizeof(symbols[0]));
	f.structs = load_word(o, symbols[TABLE_STRUCTS]);
	f.types = load_word(o, symbols[TABLE_TYPES]);
	r = read_structs(o, &f, &flag_table);
	if (r == 0)
		r = read_types(o, &f);
	if (r == 0 && flag_table)
		r = read_flags(o, load_word(o, flag_table), &f);
	if (r < 0)
		return r;
	if (!hotspot_valid(&f))
		return -ENODATA;
	buf_add(&ret->file, &f, sizeof(f));
	return ret->file.failed;
}

/* ---- what it is good for ---- */

static bool has(const struct hotspot_file *f, enum hotspot_field field)
{
	return f->fields[field] != HOTSPOT_NONE;
}

static bool all_in_range(const struct hotspot_file *f)
{
	for (size_t i = 0; i < HF_ROOM; i++) {
		if (f->fields[i] != HOTSPOT_NONE && f->fields[i] >= HOTSPOT_STRUCTS_MAX)
			return false;
	}
	for (size_t i = 0; i < HT_MAX; i++) {
		if (f->type_index[i] >= HOTSPOT_TYPES_MAX)
			return false;
	}
	for (size_t i = 0; i < HL_MAX; i++) {
		if (!f->layout[i])
			return false;
	}
	return f->stubs_first < HOTSPOT_STRUCTS_MAX && f->n_stubs <= HOTSPOT_STRUCTS_MAX;
}

/* What the walk can not do without; names may lack something. */
bool hotspot_valid(const void *file)
{
	static const uint8_t needed[] = {
		HF_BLOB_NAME,	  HF_BLOB_SIZE,	   HF_BLOB_FRAME_SIZE,	  HF_BLOB_FRAME_COMPLETE,
		HF_NM_COMPILE_ID, HF_NM_ORIG_PC,   HF_METHOD_CONST,	  HF_HEAP_MEMORY,
		HF_HEAP_SEGMAP,	  HF_HEAP_SHIFT,   HF_SPACE_LOW_BOUNDARY, HF_SPACE_HIGH_BOUNDARY,
		HF_SPACE_LOW,	  HF_BLOCK_HEADER, HF_BLOCK_USED,
	};
	const struct hotspot_file *f = file;

	if (!f->structs || !f->types || !all_in_range(f))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (!has(f, needed[i]))
			return false;
	}
	if (!has(f, HF_BLOB_CODE_BEGIN) && !has(f, HF_BLOB_CODE_OFFSET))
		return false;
	if (!has(f, HF_NM_DEOPT_BEGIN) && !has(f, HF_NM_DEOPT_OFFSET))
		return false;
	if (f->statics[HS_HEAPS] &&
	    (!has(f, HF_GROWABLE_LEN) || !has(f, HF_GROWABLE_DATA) || !f->statics[HS_VM_MAJOR]))
		return false;
	return (f->statics[HS_HEAPS] || f->statics[HS_HEAP]) && f->statics[HS_CALL_STUB_RETURN] &&
	       (f->frame_complete_bytes == 2 || f->frame_complete_bytes == 4);
}
