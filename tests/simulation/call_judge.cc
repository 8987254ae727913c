#include "tests/simulation/call_judge.h"

#include <optional>
#include <string>
#include <utility>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

using Write = history::Course::Write;

/// The value by which the log knows a write without a session; a removal has none.
std::string tagged_value(const history::Operation& op) {
  const history::Arguments& asked = op.arguments;
  for (const auto* steps : {&asked.writes, &asked.otherwise}) {
    for (const history::KeyWrite& step : *steps) {
      const bool removal = step.act == history::KeyAct::kRemove;
      if (!removal && !write_tag(step.value).empty()) return step.value;
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

std::optional<Write> of_session(const history::Operation& op, const History& log) {
  const auto done = log.write_of(SessionId(op.arguments.session), Sequence(op.arguments.sequence));
  return done ? std::optional(to_write(op, *done, log)) : std::nullopt;
}

std::optional<Write> without_session(const history::Operation& op, const History& log) {
  if (const std::string value = tagged_value(op); !value.empty()) {
    const auto done = log.write_of(value);
    return done ? std::optional(to_write(op, *done, log)) : std::nullopt;
  }
  const std::string& path = op.arguments.writes.front().path;
  const bool removal = op.call == history::Call::kRemove;
  const std::vector<int64_t> untold = log.sessionless().untold(removal ? removal_tag(path) : "");
  if (untold.empty()) return std::nullopt;
  return Write{.shared = {untold.begin(), untold.end()}};
}

history::Course course_of(const history::History& calls, const History& log) {
  history::Course course;
  for (const history::Operation& op : calls.operations()) {
    if (!history::writes_keys(op.call)) continue;
    auto write = op.arguments.session != 0 ? of_session(op, log) : without_session(op, log);
    if (write) course.writes.emplace(op.line, std::move(*write));
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
