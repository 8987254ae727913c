// The command line: a command's words, its flags, and the command to run behind "--".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace holdfast::cli {

/// Largest id of a member, as the servers have it.
inline constexpr int64_t kNodeIdMax = 1'000;
/// No id, version or revision is greater.
inline constexpr int64_t kNumberMax = (int64_t{1} << 53) - 1;

/// One flag a command knows.
struct Flag {
  const char* name;   ///< without dashes
  const char* value;  ///< what stands behind it in help; null: a switch
  const char* help;
};

/// What was given. Both --name=value and --name value are understood, anywhere before "--".
struct Args {
  std::vector<std::string> words;
  std::map<std::string, std::string> flags;
  std::vector<std::string> command;  ///< behind "--"
  bool has_command = false;          ///< "--" was given
  bool literal = false;              ///< the last words stood behind "--", and are no flags

  bool has(const std::string& flag) const { return flags.contains(flag); }
  std::string get(const std::string& flag, const std::string& otherwise = "") const;
};

/// BAD_ARGUMENT names an unknown flag, a missing or an unwanted value.
Result<Args> parse_args(const std::vector<std::string>& argv, const std::vector<Flag>& flags);

/// "500ms", "10s", "2m", "1h" or "0". BAD_ARGUMENT names `what`, text and form.
Result<Duration> parse_duration(const std::string& what, const std::string& text);
/// A whole number within [smallest, largest]. BAD_ARGUMENT names `what`, text and, if it is a
/// number, the bounds.
Result<int64_t> parse_number(const std::string& what, const std::string& text, int64_t smallest,
                             int64_t largest);
/// The id of a member. BAD_ARGUMENT says where to find those that there are.
Result<int32_t> parse_node(const std::string& what, const std::string& text);
/// A message of a server with other names for its fields: those of the command line.
std::string renamed(std::string message, const std::map<std::string, std::string>& names);
/// A path of a lock or key as people mistype it; the servers judge the rest. BAD_ARGUMENT names the
/// path and what is wrong with it.
Status check_lock_path(const std::string& path);
/// The one word of a command that takes a PATH.
Result<std::string> one_path(const Args& args);
/// "host:port,host:port,...", with blanks around any, and `port` for those without one, as the
/// Python client has it. BAD_ARGUMENT names `from`, where the list comes from, and what is wrong
/// with which of them.
Result<std::vector<std::string>> parse_addresses(const std::string& from, const std::string& list,
                                                 const std::string& port);

}  // namespace holdfast::cli
