// What several commands about keys read from the command line.
#pragma once

#include <string>

#include "clients/cli/args.h"
#include "gen/cpp/holdfast_types.h"

namespace holdfast::cli {

/// A key's path as people mistype it; the servers judge the rest. BAD_ARGUMENT names the path and
/// what is wrong with it. "/" is good only as a place to look at.
Status check_key_path(const std::string& path, bool root_too);
/// words[0], judged.
Result<std::string> key_path(const Args& args, bool root_too);
/// Nothing but the path is expected.
Status only_a_path(const Args& args);
/// Of --version; 0 without it.
Result<int64_t> version_of(const Args& args);
/// Says that there is no such key and returns the exit code.
int no_key(const std::string& path);
/// LOCAL with --local, else LINEARIZABLE.
api::Consistency::type consistency_of(const Args& args);
/// Of --min-revision; 0 without it.
Result<int64_t> min_revision_of(const Args& args);
/// What is made of a value that is not given: neither as a word nor by --file, and standard input
/// is a terminal or empty.
enum class IfNone : uint8_t { kRefused, kEmpty };
/// The value that a command writes: words[1], the file of --file, or standard input to its end, if
/// that is no terminal and not empty.
Result<std::string> read_value(const Args& args, IfNone if_none = IfNone::kRefused);
/// All of a file, or of standard input if it is "-"; at most 4 MiB, the longest request.
Result<std::string> read_file(const std::string& name);

}  // namespace holdfast::cli
