#include "tests/simulation/call_judge.h"

#include <algorithm>
#include <iterator>

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

Write of_session(const history::Operation& op, const History& log) {
  const auto done = log.write_of(SessionId(op.arguments.session), Sequence(op.arguments.sequence));
  if (!done) return {};
  Write write{.revisions = {done->revision.value}};
  write.otherwise = op.call == history::Call::kTransact && !done->succeeded;
  const auto* entry = log.keys().entry(static_cast<int64_t>(done->revision.value));
  if (entry == nullptr) return write;
  for (const api::WatchEvent& event : entry->events) {
    if (event.eventType == api::EventType::KEY_CREATED) write.created.push_back(event.path);
  }
  return write;
}

Write without_session(const history::Operation& op, const History& log) {
  Write write;
  std::ranges::copy(log.sessionless().done(tag_of(op)), std::back_inserter(write.revisions));
  return write;
}

history::Course course_of(const history::History& calls, const History& log) {
  history::Course course;
  for (const history::Operation& op : calls.operations()) {
    if (!history::writes_keys(op.call)) continue;
    Write write = op.arguments.session != 0 ? of_session(op, log) : without_session(op, log);
    if (!write.revisions.empty()) course.writes.emplace(op.line, std::move(write));
  }
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
