#include "clients/cli/key_args.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "clients/cli/exit_codes.h"

namespace holdfast::cli {
namespace {

constexpr size_t kFileBytesMax = 4 << 20;

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

}  // namespace

Status check_key_path(const std::string& path, bool root_too) {
  if (path != "/") return check_lock_path(path);
  return root_too ? ok_status() : bad("path \"/\" is the root, which is no key");
}

Result<std::string> key_path(const Args& args, bool root_too) {
  if (args.words.empty()) return bad("a PATH is needed, such as /config/limits");
  if (const Status status = check_key_path(args.words[0], root_too); !status) {
    return status.error();
  }
  return args.words[0];
}

Status only_a_path(const Args& args) {
  if (args.words.size() <= 1) return ok_status();
  return bad("\"" + args.words[1] + "\" is one word too many");
}

Result<int64_t> version_of(const Args& args) {
  if (!args.has("version")) return int64_t{0};
  return parse_number("--version", args.get("version"), 1, kNumberMax);
}

int no_key(const std::string& path) {
  std::fprintf(stderr, "holdfast: there is no key %s\n", path.c_str());
  return kExitNoKey;
}

api::Consistency::type consistency_of(const Args& args) {
  return args.has("local") ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
}

Result<int64_t> min_revision_of(const Args& args) {
  return parse_number("--min-revision", args.get("min-revision", "0"), 0, kNumberMax);
}

Result<std::string> read_file(const std::string& name) {
  const bool standard = name == "-";
  std::ifstream file;
  if (!standard) file.open(name, std::ios::binary);
  if (!standard && !file) return bad("cannot read " + name + ": " + std::strerror(errno));
  std::istream& in = standard ? std::cin : file;
  std::string bytes(kFileBytesMax + 1, '\0');
  errno = 0;
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(in.gcount()));
  // A directory opens and cannot be read.
  if (errno != 0) return bad("cannot read " + name + ": " + std::strerror(errno));
  if (bytes.size() > kFileBytesMax) {
    return bad((standard ? "standard input" : name) + " has more than " +
               std::to_string(kFileBytesMax) + " bytes, the longest request");
  }
  return bytes;
}

Result<std::string> read_value(const Args& args, IfNone if_none) {
  if (args.words.size() > 2)
    return bad("\"" + args.words[2] + "\" is one word too many: quote the value");
  if (args.words.size() == 2 && args.has("file")) return bad("VALUE and --file exclude each other");
  if (args.words.size() == 2 && args.words[1] == "-" && !args.literal) {
    return bad(
        "a VALUE of - may mean standard input or a dash: leave VALUE out to read standard input; "
        "`put PATH -- -` writes a dash");
  }
  if (args.words.size() == 2) return args.words[1];
  if (args.has("file")) return read_file(args.get("file"));
  // Nobody asked for standard input in so many words: it must be one that was meant.
  if (isatty(STDIN_FILENO) == 1) {
    if (if_none == IfNone::kEmpty) return std::string();
    return bad("a VALUE is needed behind the PATH, or --file FILE (- is standard input)");
  }
  auto value = read_file("-");
  if (value && value->empty() && if_none == IfNone::kRefused) {
    return bad("no VALUE is given, and standard input is empty: an empty value is given as \"\"");
  }
  return value;
}

}  // namespace holdfast::cli
