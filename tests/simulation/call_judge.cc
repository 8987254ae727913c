#include "tests/simulation/call_judge.h"

#include <algorithm>
#include <map>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

using Write = history::Course::Write;

bool is_removal(const history::KeyWrite& write) { return write.act == history::KeyAct::kRemove; }

/// As SessionlessWrites has it.
std::string tag_of(const history::Operation& op) {
  const history::Arguments& asked = op.arguments;
  if (op.call == history::Call::kRemove) return removal_tag(asked.writes.front().path);
  for (const auto* steps : {&asked.writes, &asked.otherwise}) {
    for (const history::KeyWrite& step : *steps) {
      const std::string tag = is_removal(step) ? std::string() : write_tag(step.value);
      if (!tag.empty()) return tag;
    }
  }
  return {};
}

Write to_write(const history::Operation& op, const History::Write& done, const History& log) {
  Write write{.revision = done.revision.value};
  write.otherwise = op.call == history::Call::kTransact && !done.succeeded;
  const auto* entry = log.keys().entry(static_cast<int64_t>(done.revision.value));
  if (entry == nullptr) return write;
  for (const api::WatchEvent& event : entry->events) {
    if (event.eventType == api::EventType::KEY_CREATED) write.created.push_back(event.path);
  }
  return write;
}

/// Copies of a write are alike, so they may as well stand in the log in the order in which they
/// were sent. Removals of a path are no copies of each other.
void place_lost(const std::vector<const history::Operation*>& lost, const std::string& tag,
                const History& log, std::map<size_t, Write>& writes) {
  const std::vector<int64_t> untold = log.sessionless().untold(tag);
  const bool alike = lost.front()->call != history::Call::kRemove;
  for (size_t i = 0; i < lost.size() && !untold.empty(); ++i) {
    if (!alike) {
      writes[lost[i]->line].shared = {untold.begin(), untold.end()};
    } else if (i < untold.size()) {
      const Revision revision(static_cast<uint64_t>(untold[i]));
      writes[lost[i]->line] = to_write(*lost[i], log.write_at(revision), log);
    }
  }
}

history::Course course_of(const history::History& calls, const History& log) {
  history::Course course;
  std::map<std::string, std::vector<const history::Operation*>> lost;
  for (const history::Operation& op : calls.operations()) {
    if (!history::writes_keys(op.call)) continue;
    if (op.arguments.session == 0) {
      if (!op.answer.known) lost[tag_of(op)].push_back(&op);
      continue;
    }
    const auto done =
        log.write_of(SessionId(op.arguments.session), Sequence(op.arguments.sequence));
    if (done) course.writes.emplace(op.line, to_write(op, *done, log));
  }
  for (const auto& [tag, copies] : lost) place_lost(copies, tag, log, course.writes);
  for (const auto& [session, revision] : log.session_ends()) {
    course.session_ends.emplace(session.value, revision.value);
  }
  for (const History::KeyEnd& end : log.key_ends()) {
    course.key_ends.push_back({end.path, end.revision.value, end.moment.count()});
  }
  return course;
}

}  // namespace

history::Verdict judge(const std::vector<history::Operation>& calls, const History& log) {
  history::History history;
  for (const history::Operation& call : calls) {
    const auto malformed = history.record(call);
    if (malformed) throw Broken(Rule::kLinear, *malformed);
  }
  history.follow(course_of(history, log));
  const history::Verdict verdict = history::check(history);
  if (verdict.kind == history::Verdict::Kind::kEmpty) {
    throw Broken(Rule::kVacuous, verdict.explanation);
  }
  if (!verdict.good()) throw Broken(Rule::kLinear, verdict.explanation);
  return verdict;
}

}  // namespace holdfast::sim
