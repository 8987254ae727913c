#include <algorithm>

#include "tests/history/history.h"
#include "tests/history/key_search.h"
#include "tests/history/search.h"
#include "tests/history/timeline.h"

namespace holdfast::history {
namespace {

void count(const Timeline& timeline, Verdict& verdict) {
  verdict.locks = timeline.locks.size();
  verdict.key_groups = timeline.keys.size();
  verdict.sessions = timeline.sessions.size();
  for (const KeyHistory& keys : timeline.keys) {
    verdict.reads += keys.reads.size();
    verdict.commands += static_cast<size_t>(std::ranges::count_if(
        keys.commands, [](const auto& each) { return each.told != nullptr; }));
  }
  for (const auto& [path, lock] : timeline.locks) {
    verdict.reads += lock.reads.size();
    verdict.commands += static_cast<size_t>(
        std::count_if(lock.commands.begin(), lock.commands.end(),
                      [](const Command& command) { return command.told != nullptr; }));
  }
}

bool add(const SearchResult& result, Verdict& verdict) {
  verdict.steps += result.steps;
  verdict.kind = result.kind;
  verdict.explanation = result.explanation;
  return verdict.good();
}

}  // namespace

Verdict check(const History& history, uint64_t budget) {
  Verdict verdict;
  const Known known(history.operations());
  const Timeline timeline = lay_out(history, known);
  count(timeline, verdict);
  if (!timeline.broken.empty()) {
    verdict.kind = Verdict::Kind::kBroken;
    verdict.explanation = timeline.broken;
    return verdict;
  }
  if (verdict.commands + verdict.reads == 0) {
    verdict.kind = Verdict::Kind::kEmpty;
    verdict.explanation = "nothing to check: no command or read of any lock or key was answered";
    return verdict;
  }
  for (const auto& [path, lock] : timeline.locks) {
    if (!add(search(lock, timeline.sessions, known, budget), verdict)) return verdict;
  }
  for (const KeyHistory& keys : timeline.keys) {
    if (!add(search(keys, timeline.sessions, history.course(), budget), verdict)) return verdict;
  }
  return verdict;
}

}  // namespace holdfast::history
