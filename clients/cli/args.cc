#include "clients/cli/args.h"

#include <algorithm>
#include <charconv>

#include "base/net/address.h"
#include "clients/cli/nearest.h"

namespace holdfast::cli {
namespace {

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

/// Words of a flag are apart by - or by _, as in the flags of holdfastd.
std::string canonical(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

const Flag* find_flag(const std::vector<Flag>& flags, const std::string& name) {
  const auto at = std::find_if(flags.begin(), flags.end(),
                               [&](const Flag& flag) { return name == canonical(flag.name); });
  return at == flags.end() ? nullptr : &*at;
}

Error unknown_flag(const std::string& name, const std::vector<Flag>& flags) {
  std::vector<std::string> known;
  for (const Flag& flag : flags) known.push_back(canonical(flag.name));
  const std::string meant = nearest(name, known);
  return bad("unknown flag --" + name + (meant.empty() ? "" : " (did you mean --" + meant + "?)"));
}

/// The switch that "-h" or "-l" stands for, if the command has it; else null.
const char* short_flag(const std::string& word, const std::vector<Flag>& flags) {
  if (word == "-h") return "help";
  return word == "-l" && find_flag(flags, "long") != nullptr ? "long" : nullptr;
}

/// Of two values the second would silently take the place of the first.
Status set_value(Args& args, const std::string& name, const std::string& value) {
  if (args.flags.emplace(name, value).second) return ok_status();
  return bad("--" + name + " is given twice: \"" + args.flags[name] + "\" and \"" + value + "\"");
}

/// Takes the flag at argv[at], and its value if that is the next word. Returns the words used.
Result<size_t> take_flag(const std::vector<std::string>& argv, size_t at,
                         const std::vector<Flag>& flags, Args& args) {
  const size_t equals = argv[at].find('=');
  const std::string name =
      canonical(argv[at].substr(2, equals == std::string::npos ? equals : equals - 2));
  const Flag* flag = find_flag(flags, name);
  if (flag == nullptr) return unknown_flag(name, flags);
  if (equals != std::string::npos) {
    if (flag->value == nullptr) return bad("--" + name + " takes no value");
    const Status set = set_value(args, name, argv[at].substr(equals + 1));
    return set.ok() ? Result<size_t>(1) : set.error();
  }
  if (flag->value == nullptr) {
    args.flags[name] = "";
    return size_t{1};
  }
  if (at + 1 >= argv.size() || argv[at + 1] == "--") {
    return bad("--" + name + " needs a value: " + flag->value);
  }
  const Status set = set_value(args, name, argv[at + 1]);
  return set.ok() ? Result<size_t>(2) : set.error();
}

}  // namespace

std::string Args::get(const std::string& flag, const std::string& otherwise) const {
  const auto at = flags.find(canonical(flag));
  return at == flags.end() ? otherwise : at->second;
}

Result<Args> parse_args(const std::vector<std::string>& argv, const std::vector<Flag>& flags) {
  Args args;
  for (size_t at = 0; at < argv.size();) {
    const std::string& word = argv[at];
    if (word == "--") {
      args.has_command = true;
      args.command.assign(argv.begin() + static_cast<long>(at) + 1, argv.end());
      return args;
    }
    if (const char* flag = short_flag(word, flags); flag != nullptr) {
      args.flags[flag] = "";
      ++at;
    } else if (word.starts_with("--")) {
      const auto used = take_flag(argv, at, flags, args);
      if (!used) return used.error();
      at += *used;
    } else if (word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9')) {
      return bad("unknown flag " + word + "; flags begin with two dashes");
    } else {
      args.words.push_back(word);
      ++at;
    }
  }
  return args;
}

/// Far from where nanoseconds overflow, also when it is added to a time.
constexpr Duration kLongestDuration = std::chrono::hours(87'600);

Result<Duration> parse_duration(const std::string& what, const std::string& text) {
  const std::map<std::string, Duration> units = {{"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 60min}};
  int64_t number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(rest, text.data() + text.size());
  const auto at = units.find(unit);
  const bool zero = failed == std::errc() && number == 0 && unit.empty();
  if (zero) return Duration(0);
  const bool out_of_range = failed == std::errc::result_out_of_range;
  if ((failed != std::errc() && !out_of_range) || at == units.end() || text.starts_with('-')) {
    return bad(what + " is \"" + text + "\", not a duration like 500ms, 10s, 2m or 1h");
  }
  if (out_of_range || number > kLongestDuration / at->second) {
    return bad(what + " is \"" + text + "\", the longest duration is 87600h, ten years");
  }
  return number * at->second;
}

Result<int64_t> parse_number(const std::string& what, const std::string& text, int64_t smallest,
                             int64_t largest) {
  int64_t number = 0;
  const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = failed == std::errc() && rest == text.data() + text.size();
  const bool out_of_range = failed == std::errc::result_out_of_range;
  if (!whole && !out_of_range) return bad(what + " is \"" + text + "\", not a whole number");
  if (out_of_range || number < smallest || number > largest) {
    return bad(what + " is \"" + text + "\" but must be a number from " + std::to_string(smallest) +
               " to " + std::to_string(largest));
  }
  return number;
}

Result<int32_t> parse_node(const std::string& what, const std::string& text) {
  const auto node = parse_number(what, text, 1, kNodeIdMax);
  if (node) return static_cast<int32_t>(*node);
  return bad(node.error().message + "; `holdfast member list` shows the ids of the members");
}

std::string renamed(std::string message, const std::map<std::string, std::string>& names) {
  for (const auto& [field, name] : names) {
    const size_t at = message.find(field + " is ");
    if (at != std::string::npos) message.replace(at, field.size(), name);
  }
  return message;
}

Status check_lock_path(const std::string& path) {
  const std::string quoted = "path \"" + path + "\" ";
  if (path == "/") return bad(quoted + "names no lock: a name is needed behind it");
  if (!path.starts_with('/')) return bad(quoted + "does not begin with /");
  for (size_t at = 0; at < path.size();) {
    const size_t slash = std::min(path.find('/', at + 1), path.size());
    const std::string segment = path.substr(at + 1, slash - at - 1);
    if (segment.empty()) return bad(quoted + "has an empty segment");
    if (segment == "." || segment == "..") return bad(quoted + "has a '.' or '..' segment");
    at = slash;
  }
  return ok_status();
}

Result<std::string> one_path(const Args& args) {
  if (args.words.size() != 1) return bad("one PATH is needed, such as /jobs/nightly");
  if (const Status status = check_lock_path(args.words[0]); !status) return status.error();
  return args.words[0];
}

namespace {

Error bad_addresses(const std::string& from, const std::string& list, const std::string& why) {
  return bad(from + " is \"" + list + "\": " + why);
}

/// Without blanks around it, and with a port.
std::string whole_address(const std::string& text, const std::string& port) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  const std::string given = text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
  const bool has_port = given.find(':') != std::string::npos && !given.ends_with(']');
  return has_port ? given : given + ":" + port;
}

}  // namespace

Result<std::vector<std::string>> parse_addresses(const std::string& from, const std::string& list,
                                                 const std::string& port) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(whole_address(list.substr(at, comma - at), port));
    const auto address = net::parse_address(parts.back());
    if (!address || address->port == 0) {
      return bad_addresses(from, list,
                           address ? "port 0 of \"" + parts.back() + "\" cannot be dialled"
                                   : address.error().message);
    }
    at = comma + 1;
  }
  return parts;
}

}  // namespace holdfast::cli
