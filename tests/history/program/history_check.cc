// history-check FILE: is this history of clients' calls explained by one order of them? Ends with 0
// if it is, 1 if it is not, 2 if it was not decided or holds nothing to check, 64 for a bad command
// line or file.
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/history/history.h"
#include "tests/history/json_lines.h"

namespace {

using holdfast::history::Verdict;

constexpr int kGood = 0, kBroken = 1, kUndecided = 2, kUsage = 64;

int refuse(const std::string& why) {
  std::fprintf(stderr, "history-check: %s\n", why.c_str());
  return kUsage;
}

int report(const Verdict& verdict) {
  if (!verdict.good()) {
    std::fprintf(stderr, "history-check: %s\n", verdict.explanation.c_str());
    return verdict.kind == Verdict::Kind::kBroken ? kBroken : kUndecided;
  }
  std::printf(
      "good: %zu commands and %zu reads of %zu locks and %zu groups of keys by %zu sessions, "
      "%llu steps\n",
      verdict.commands, verdict.reads, verdict.locks, verdict.key_groups, verdict.sessions,
      static_cast<unsigned long long>(verdict.steps));
  return kGood;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') return refuse("takes one file of JSON lines, nothing else");
  std::ifstream file(argv[1]);
  if (!file) return refuse(std::string(argv[1]) + " cannot be read");
  holdfast::history::History history;
  const auto malformed = read_json_lines(file, history);
  if (malformed) return refuse(std::string(argv[1]) + " " + *malformed);
  return report(check(history));
}
