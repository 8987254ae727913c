#include "tests/simulation/schedule.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <vector>

namespace holdfast::sim {

namespace {

using Words = std::vector<std::string>;

Words split(const std::string& line) {
  std::istringstream in(line.substr(0, line.find('#')));
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Error bad(const std::string& what) { return {ErrorCode::kBadArgument, what}; }

Result<int64_t> number(const std::string& text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) {
    return bad("'" + text + "' is no number");
  }
  if (value < low || value > high) {
    return bad(text + " is not within " + std::to_string(low) + " and " + std::to_string(high));
  }
  return value;
}

/// Sets the fields that words from `first` on name.
template <class T>
Status set_fields(T& object, std::span<const Field<T>> fields, const Words& words, size_t first) {
  for (size_t i = first; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    const std::string name = words[i].substr(0, equals);
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&](const Field<T>& each) { return each.name == name; });
    if (equals == std::string::npos || field == fields.end()) {
      return bad("there is no field '" + words[i] + "' in '" + words[0] + "'");
    }
    const auto value = number(words[i].substr(equals + 1), field->low, field->high);
    if (!value.ok()) return bad(name + ": " + value.error().message);
    object.*field->member = *value;
  }
  return ok_status();
}

template <class Kind>
std::optional<Kind> kind_named(const std::string& name) {
  for (size_t i = 0; i < static_cast<size_t>(Kind::kCount); ++i) {
    if (name_of(static_cast<Kind>(i)) == name) return static_cast<Kind>(i);
  }
  return std::nullopt;
}

Status parse_op(Script& script, const Words& words) {
  const auto kind = kind_named<OpKind>(words[4]);
  if (!kind) return bad("a client cannot do '" + words[4] + "'");
  Op op;
  op.kind = *kind;
  const Status set = set_fields(op, op_fields(), words, 5);
  if (set.ok()) script.ops.push_back(op);
  return set;
}

/// A hand without operations opens its client's session, no more.
Status parse_hand(Plan& plan, const Words& words) {
  if (words.size() < 4 || words[2] != "hand") return bad("'client N hand M [OP ...]' is the form");
  const auto client = number(words[1], 1, 16);
  if (!client.ok()) return bad("client: " + client.error().message);
  const auto hand = number(words[3], 1, 8);
  if (!hand.ok()) return bad("hand: " + hand.error().message);
  auto script = std::find_if(plan.scripts.begin(), plan.scripts.end(), [&](const Script& s) {
    return s.client == *client && s.hand == *hand;
  });
  if (script == plan.scripts.end()) {
    plan.scripts.push_back({*client, *hand, {}});
    script = plan.scripts.end() - 1;
  }
  return words.size() == 4 ? ok_status() : parse_op(*script, words);
}

Status parse_draws(DrawTable& draws, const Words& words) {
  if (words.size() < 2) return bad("'draw STREAM NUMBER=VALUE ...' is the form");
  constexpr int64_t kMost = INT64_MAX;
  for (size_t i = 2; i < words.size(); ++i) {
    const size_t equals = words[i].find('=');
    const auto at = number(words[i].substr(0, equals), 0, kMost);
    const auto value =
        number(equals == std::string::npos ? "" : words[i].substr(equals + 1), 1, kMost);
    if (!at.ok() || !value.ok()) return bad("'" + words[i] + "' is not NUMBER=VALUE");
    draws[words[1]][static_cast<uint64_t>(*at)] = static_cast<uint64_t>(*value);
  }
  return ok_status();
}

Status parse_line(Schedule& schedule, const Words& words) {
  if (words[0] == "weather") {
    return set_fields(schedule.plan.weather, weather_fields(), words, 1);
  }
  if (words[0] == "client") return parse_hand(schedule.plan, words);
  if (words[0] == "draw") return parse_draws(schedule.draws, words);
  if (words[0] == "draws_of_seed") {
    const auto seed = number(words.size() == 2 ? words[1] : "", 0, INT64_MAX);
    if (!seed.ok()) return bad("'draws_of_seed' names one seed: " + seed.error().message);
    schedule.draws_of_seed = static_cast<uint64_t>(*seed);
    return ok_status();
  }
  if (words[0] == "meets") {
    const auto mark = mark_named(words.size() == 2 ? words[1] : "");
    if (!mark) return bad("'meets' names one rare state, such as LogCut");
    schedule.meets.push_back(*mark);
    return ok_status();
  }
  if (words[0] == "breaks") {
    schedule.breaks = words.size() == 2 ? rule_named(words[1]) : std::nullopt;
    if (!schedule.breaks) return bad("'breaks' names one invariant, such as I22");
    return ok_status();
  }
  const auto kind = kind_named<FaultKind>(words[0]);
  if (!kind) return bad("there is no fault or line named '" + words[0] + "'");
  Fault fault;
  fault.kind = *kind;
  const Status set = set_fields(fault, fault_fields(), words, 1);
  if (set.ok()) schedule.plan.faults.push_back(fault);
  return set;
}

/// What fits together only as a whole.
Status check(const Plan& plan) {
  const Weather& w = plan.weather;
  if (w.election_max_ms <= w.election_min_ms) {
    return bad("election_max_ms " + std::to_string(w.election_max_ms) +
               " is not above election_min_ms " + std::to_string(w.election_min_ms));
  }
  if (2 * w.heartbeat_ms > w.election_min_ms) {
    return bad("heartbeat_ms " + std::to_string(w.heartbeat_ms) +
               " is above half of election_min_ms " + std::to_string(w.election_min_ms));
  }
  for (const Script& script : plan.scripts) {
    if (script.client > w.clients) {
      return bad("client " + std::to_string(script.client) + " of " + std::to_string(w.clients));
    }
  }
  return ok_status();
}

}  // namespace

std::string to_text(const Schedule& schedule) {
  std::string text = describe(schedule.plan.weather) + "\n";
  for (const Fault& fault : schedule.plan.faults) text += describe(fault) + "\n";
  for (const Script& script : schedule.plan.scripts) {
    const std::string whose =
        "client " + std::to_string(script.client) + " hand " + std::to_string(script.hand);
    if (script.ops.empty()) text += whose + "\n";
    for (const Op& op : script.ops) text += whose + " " + describe(op) + "\n";
  }
  for (const auto& [stream, values] : schedule.draws) {
    if (values.empty()) continue;
    text += "draw " + stream;
    for (const auto& [at, value] : values) {
      text += " " + std::to_string(at) + "=" + std::to_string(value);
    }
    text += "\n";
  }
  if (schedule.draws_of_seed) {
    text += "draws_of_seed " + std::to_string(*schedule.draws_of_seed) + "\n";
  }
  for (const Mark mark : schedule.meets) text += "meets " + std::string(name_of(mark)) + "\n";
  if (schedule.breaks) text += "breaks " + std::string(text_of(*schedule.breaks).name) + "\n";
  return text;
}

Result<Schedule> parse_schedule(const std::string& text) {
  Schedule schedule;
  std::istringstream in(text);
  int line_number = 0;
  for (std::string line; std::getline(in, line);) {
    ++line_number;
    const Words words = split(line);
    if (words.empty()) continue;
    const Status parsed = parse_line(schedule, words);
    if (!parsed.ok()) {
      return bad("line " + std::to_string(line_number) + ": " + parsed.error().message);
    }
  }
  const Status whole = check(schedule.plan);
  if (!whole.ok()) return whole.error();
  std::stable_sort(schedule.plan.faults.begin(), schedule.plan.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at_ms < b.at_ms; });
  return schedule;
}

}  // namespace holdfast::sim
