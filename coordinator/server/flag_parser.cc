#include "coordinator/server/flag_parser.h"

#include <gflags/gflags.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace holdfast::server {

namespace {

using gflags::CommandLineFlagInfo;

/// Flags of the logging library that main() sets by itself: what is given would be ignored.
constexpr std::pair<const char*, const char*> kTakenOver[] = {
    {"log_dir", "the directory of log files is --glog_dir here"},
    {"logtostderr", "standard error is where logs go unless --glog_dir is given"},
    {"logbufsecs", "logs are written within a second, always"}};

constexpr int kFlagFilesDeep = 8;
constexpr size_t kHelpColumns = 80;
constexpr const char* kIndent = "      ";

Status set_words(const std::vector<std::string>& words, bool values_may_follow, int depth);

Error bad(const std::string& text, const std::string& why) {
  return {ErrorCode::kBadArgument, text + ": " + why};
}

std::string file_name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// A flag by name; those of gflags itself change how it parses, and are none of ours.
std::optional<CommandLineFlagInfo> find_flag(const std::string& name) {
  CommandLineFlagInfo info;
  if (!gflags::GetCommandLineFlagInfo(name.c_str(), &info)) return {};
  if (file_name_of(info.filename).starts_with("gflags")) return {};
  return info;
}

bool is_bool(const std::optional<CommandLineFlagInfo>& flag) {
  return flag && flag->type == "bool";
}

std::string range_of(const CommandLineFlagInfo& flag) {
  if (flag.type == "bool") return "must be true or false";
  if (flag.type == "double") return "must be a number";
  return "must be a whole number that fits " + flag.type;
}

std::string trimmed(const std::string& line) {
  constexpr const char* kBlanks = " \t\r";
  const size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string::npos) return "";
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

Status read_flag_file(const std::string& path, int depth) {
  const std::string named = "--flagfile=" + path;
  std::ifstream file(path);
  if (!file) return bad(named, "cannot be read");
  if (depth > kFlagFilesDeep) {
    return bad(named, "flag files include each other more than " + std::to_string(kFlagFilesDeep) +
                          " deep");
  }
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const std::string word = trimmed(line);
    if (word.empty() || word[0] == '#') continue;
    const Status set = set_words({word}, /*values_may_follow=*/false, depth);
    if (!set) return bad(named + ", line " + std::to_string(number), set.error().message);
  }
  if (file.bad()) return bad(named, "cannot be read");  // a directory, say
  return ok_status();
}

Status set_one(const std::string& name, const std::string& value, int depth) {
  if (name == "flagfile") return read_flag_file(value, depth + 1);
  for (const auto& [taken, instead] : kTakenOver) {
    if (name == taken) return bad("--" + name, instead);
  }
  const auto flag = find_flag(name);
  if (!flag) return Error{ErrorCode::kBadArgument, "unknown flag '" + name + "'"};
  if (gflags::SetCommandLineOption(name.c_str(), value.c_str()).empty()) {
    return bad("--" + name + "=" + value, range_of(*flag));
  }
  return ok_status();
}

Status set_words(const std::vector<std::string>& words, bool values_may_follow, int depth) {
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word[0] != '-') {
      return Error{ErrorCode::kBadArgument,
                   "'" + word + "' is not a flag; a flag is written --name=value"};
    }
    const std::string text = word.substr(word.starts_with("--") ? 2 : 1);
    const size_t equals = text.find('=');
    std::string name = text.substr(0, equals);
    std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    if (equals == std::string::npos) {
      const bool negated =
          !find_flag(name) && name.starts_with("no") && is_bool(find_flag(name.substr(2)));
      if (negated) name = name.substr(2);
      if (is_bool(find_flag(name))) {
        value = negated ? "false" : "true";
      } else if (find_flag(name) || name == "flagfile") {
        if (!values_may_follow || i + 1 == words.size()) return bad("--" + name, "needs a value");
        value = words[++i];
      }
    }
    if (Status set = set_one(name, value, depth); !set) return set;
  }
  return ok_status();
}

/// Words on lines of at most kHelpColumns, each indented.
std::string wrapped(const std::string& text) {
  std::string out;
  std::string line;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > kHelpColumns) {
      out += line + "\n";
      line.clear();
    }
    line += (line.empty() ? kIndent : " ") + word;
  }
  return out + line + "\n";
}

}  // namespace

Status set_flags(const std::vector<std::string>& words) {
  return set_words(words, /*values_may_follow=*/true, 0);
}

std::string describe_flags(const std::string& file_name) {
  std::vector<CommandLineFlagInfo> all;
  gflags::GetAllFlags(&all);
  std::string out;
  for (const CommandLineFlagInfo& flag : all) {
    if (file_name_of(flag.filename) != file_name) continue;
    out += "  --" + flag.name + "=" + flag.default_value + "\n" + wrapped(flag.description);
  }
  return out;
}

}  // namespace holdfast::server
