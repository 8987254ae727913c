#include "clients/cli/txn_script.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include "clients/cli/args.h"
#include "clients/cli/key_args.h"

namespace holdfast::cli {
namespace {

Error bad(std::string message) { return {ErrorCode::kBadArgument, std::move(message)}; }

/// The byte that an escape stands for; `at` is behind the backslash and moves to its last
/// character.
std::optional<char> unescape(const std::string& line, size_t& at) {
  if (at >= line.size()) return std::nullopt;
  switch (line[at]) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case '"':
    case '\\':
      return line[at];
    case 'x': {
      const std::string digits = line.substr(at + 1, 2);
      const bool hex = digits.size() == 2 && std::all_of(digits.begin(), digits.end(), [](char c) {
                         return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                       });
      if (!hex) return std::nullopt;
      at += 2;
      return static_cast<char>(std::stoi(digits, nullptr, 16));
    }
    default:
      return std::nullopt;
  }
}

/// A word in quotes; `at` stands on the first quote and moves behind the last.
Result<std::string> quoted_word(const std::string& line, size_t& at) {
  std::string word;
  for (++at; at < line.size(); ++at) {
    if (line[at] == '"') {
      ++at;
      return word;
    }
    if (line[at] != '\\') {
      word += line[at];
      continue;
    }
    const auto byte = unescape(line, ++at);
    if (!byte) return bad("a \\ is not followed by n, t, \", \\ or xNN");
    word += *byte;
  }
  return bad("a quote is not closed");
}

/// Words are apart by blanks; one in quotes may hold blanks; # begins a comment.
Result<std::vector<std::string>> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    if (std::isspace(static_cast<unsigned char>(line[at])) != 0) {
      ++at;
    } else if (line[at] == '#') {
      break;
    } else if (line[at] == '"') {
      auto word = quoted_word(line, at);
      if (!word) return word.error();
      words.push_back(std::move(*word));
    } else {
      const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
      words.push_back(line.substr(at, end - at));
      at = end;
    }
  }
  return words;
}

/// The words of one line, taken one after the other.
class Line {
 public:
  explicit Line(std::vector<std::string> words) : words_(std::move(words)) {}
  bool more() const { return at_ < words_.size(); }
  /// The next word; empty behind the last.
  std::string next() { return more() ? words_[at_++] : std::string(); }
  Result<std::string> need(const char* what) {
    if (!more()) return bad(std::string(what) + " is missing");
    return next();
  }
  Result<std::string> path() {
    auto path = need("PATH");
    if (!path) return path.error();
    if (const Status status = check_key_path(*path, false); !status) return status.error();
    return path;
  }
  Status end() const {
    return more() ? bad("\"" + words_[at_] + "\" is not expected") : ok_status();
  }

 private:
  std::vector<std::string> words_;
  size_t at_ = 0;
};

Result<api::CompareRelation::type> relation_of(const std::string& word) {
  using R = api::CompareRelation;
  static const std::map<std::string, R::type> relations = {
      {"=", R::EQUAL}, {"!=", R::NOT_EQUAL}, {"<", R::LESS}, {">", R::GREATER}};
  const auto at = relations.find(word);
  if (at == relations.end()) return bad("\"" + word + "\" is not =, !=, < or >");
  return at->second;
}

/// Behind "if": exists PATH, absent PATH, or WHAT PATH RELATION NUMBER-or-value.
Result<api::Compare> parse_compare(Line& line) {
  using T = api::CompareTarget;
  static const std::map<std::string, T::type> targets = {{"exists", T::EXISTS},
                                                         {"absent", T::EXISTS},
                                                         {"version", T::VERSION},
                                                         {"value", T::VALUE},
                                                         {"modified", T::MODIFY_REVISION},
                                                         {"created", T::CREATE_REVISION}};
  const std::string what = line.next();
  const auto target = targets.find(what);
  if (target == targets.end()) {
    return bad("\"" + what + "\" is not exists, absent, version, value, modified or created");
  }
  const auto path = line.path();
  if (!path) return path.error();
  api::Compare compare;
  compare.target = target->second;
  compare.path = *path;
  compare.relation = api::CompareRelation::EQUAL;
  compare.number = what == "exists" ? 1 : 0;
  if (compare.target == T::EXISTS) return compare;
  const auto relation = relation_of(line.next());
  if (!relation) return relation.error();
  compare.relation = *relation;
  auto operand = line.need(compare.target == T::VALUE ? "VALUE" : "NUMBER");
  if (!operand) return operand.error();
  if (compare.target == T::VALUE) {
    compare.value = std::move(*operand);
    return compare;
  }
  const auto number = parse_number(what, *operand, 0, kNumberMax);
  if (!number) return number.error();
  compare.number = *number;
  return compare;
}

Result<int64_t> parse_version(Line& line) {
  const auto word = line.need("the number behind version");
  if (!word) return word.error();
  return parse_number("version", *word, 1, kNumberMax);
}

Result<api::PutRequest> parse_put(Line& line) {
  api::PutRequest put;
  const auto path = line.path();
  if (!path) return path.error();
  auto value = line.need("VALUE");
  if (!value) return value.error();
  put.path = *path;
  put.value = std::move(*value);
  while (line.more()) {
    const std::string option = line.next();
    if (put.expectedVersion != 0 && (option == "new" || option == "version")) {
      return bad("new and version exclude each other");
    }
    if (option == "parents") {
      put.makeParents = true;
    } else if (option == "new") {
      put.expectedVersion = -1;
    } else if (option == "version") {
      const auto version = parse_version(line);
      if (!version) return version.error();
      put.expectedVersion = *version;
    } else {
      return bad("\"" + option + "\" is not version, new or parents");
    }
  }
  return put;
}

Result<api::CreateRequest> parse_create(Line& line) {
  api::CreateRequest create;
  const auto path = line.path();
  if (!path) return path.error();
  auto value = line.need("VALUE");
  if (!value) return value.error();
  create.path = *path;
  create.value = std::move(*value);
  bool container = false;
  while (line.more()) {
    const std::string option = line.next();
    if (option == "parents") {
      create.makeParents = true;
    } else if (option == "sequential") {
      create.sequential = true;
    } else if (option == "container") {
      container = true;
      create.kind = api::KeyKind::CONTAINER;
    } else if (option == "ttl") {
      const auto ttl = parse_duration("ttl", line.next());
      if (!ttl) return ttl.error();
      if (*ttl <= Duration(0)) return bad("ttl must be above 0");
      create.kind = api::KeyKind::TTL;
      create.ttlMs = to_ms(*ttl);
    } else {
      return bad("\"" + option + "\" is not sequential, container, ttl or parents");
    }
    if (container && create.ttlMs != 0) return bad("container and ttl exclude each other");
  }
  return create;
}

Result<api::RemoveRequest> parse_remove(Line& line) {
  api::RemoveRequest remove;
  const auto path = line.path();
  if (!path) return path.error();
  remove.path = *path;
  while (line.more()) {
    const std::string option = line.next();
    if (option == "recursive") {
      remove.recursive = true;
    } else if (option == "version") {
      const auto version = parse_version(line);
      if (!version) return version.error();
      remove.expectedVersion = *version;
    } else {
      return bad("\"" + option + "\" is not version or recursive");
    }
  }
  return remove;
}

Result<api::Operation> parse_operation(Line& line) {
  api::Operation operation;
  const std::string what = line.next();
  if (what == "put") {
    const auto put = parse_put(line);
    if (!put) return put.error();
    operation.__set_put(*put);
  } else if (what == "create") {
    const auto create = parse_create(line);
    if (!create) return create.error();
    operation.__set_create(*create);
  } else if (what == "rm") {
    const auto remove = parse_remove(line);
    if (!remove) return remove.error();
    operation.__set_remove(*remove);
  } else {
    return bad("\"" + what + "\" is not put, create or rm");
  }
  return operation;
}

Status parse_line(Line line, int number, TxnScript& script) {
  const std::string when = line.next();
  api::TransactRequest& request = script.request;
  if (when == "if") {
    const auto compare = parse_compare(line);
    if (!compare) return compare.error();
    request.compares.push_back(*compare);
  } else if (when == "then" || when == "else") {
    const auto operation = parse_operation(line);
    if (!operation) return operation.error();
    const bool then = when == "then";
    (then ? request.thenOperations : request.otherwiseOperations).push_back(*operation);
    (then ? script.then_lines : script.otherwise_lines).push_back(number);
  } else {
    return bad("\"" + when + "\" is not if, then or else");
  }
  return line.end();
}

}  // namespace

Result<TxnScript> parse_transaction(const std::string& text) {
  TxnScript script;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    auto words = words_of(line);
    if (words && words->empty()) continue;
    const Status status =
        words ? parse_line(Line(std::move(*words)), number, script) : words.error();
    if (!status) return bad("line " + std::to_string(number) + ": " + status.error().message);
  }
  if (script.then_lines.empty() && script.otherwise_lines.empty()) {
    return bad("there is nothing to do: a line with then or else is needed");
  }
  return script;
}

std::string in_words_of(const TxnScript& script, const std::string& file,
                        const std::string& refusal) {
  for (const auto& [list, lines] : {std::pair{"thenOperations[", &script.then_lines},
                                    std::pair{"otherwiseOperations[", &script.otherwise_lines}}) {
    if (!refusal.starts_with(list)) continue;
    const size_t end = std::min(refusal.find("]: "), refusal.size());
    const size_t begin = std::string(list).size();
    const auto step = parse_number("step", refusal.substr(begin, end - begin), 0,
                                   static_cast<int64_t>(lines->size()) - 1);
    if (!step || end == refusal.size()) return refusal;
    const std::string line = std::to_string((*lines)[static_cast<size_t>(*step)]);
    return file + ", line " + line + ": " +
           renamed(refusal.substr(end + 3),
                   {{"ttlMs", "ttl in ms"}, {"expectedVersion", "version"}});
  }
  return refusal;
}

const std::string& path_of(const api::Operation& step) {
  if (step.__isset.put) return step.put.path;
  return step.__isset.create ? step.create.path : step.remove.path;
}

}  // namespace holdfast::cli
