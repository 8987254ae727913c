#include "tests/simulation/invariants.h"

namespace holdfast::sim {

namespace {

constexpr std::array<RuleText, kRules> kTexts = {{
    {"I1", "election safety: at most one leader of a term, ever"},
    {"I2", "a leader only appends to its log"},
    {"I3", "log matching: an index and a term name one entry and one prefix"},
    {"I4", "leader completeness: what is committed is in the log of every later leader"},
    {"I5", "state machine safety: one command and one state after each index, on every node"},
    {"I6", "terms, commit and applied never go back; applied <= commit <= durable on a quorum"},
    {"I7", "a vote or acknowledgement leaves after what it promises is durable; one vote a term"},
    {"I8",
     "the configuration in force is the latest of the log, else the snapshot's; adjacent ones have "
     "common quorums; its members are dialled; a change that was answered is made"},
    {"I9",
     "a snapshot holds the state after its entry, all of one, never passes the synced log, and "
     "never goes back behind what was durable"},
    {"I10", "what was acknowledged as durable is on disk, whole and in order"},
    {"I11",
     "one exclusive holder, never beside shared ones, permits within the limit; tokens of "
     "a lock ascend"},
    {"I12", "nothing is granted to, or kept for, a session that is not live"},
    {"I13", "a command that names another's holder id changes nothing"},
    {"I14", "waiters are granted in order of arrival, and none waits for a lock it could have"},
    {"I15", "keys, their owners, versions and counts are what the changes in the log made of them"},
    {"I16",
     "a session expires by an entry decided in its own term, not before the end of every "
     "lease acknowledged to its client, nor for silence while its leader could answer nobody"},
    {"I17",
     "a command of a session is applied once; all its copies come to one outcome; without a "
     "session "
     "each copy is applied once at most"},
    {"I18", "a request that was answered NOT APPLIED has no effect"},
    {"I19",
     "a watch is told every matching change, in order, once, an entry at a time, or resynchronised "
     "to the state of a revision; a parked poll is answered before what they have seen leaves the "
     "history"},
    {"I20", "revisions answered to a client respect real time; reads show the state of theirs"},
    {"I21", "queues, messages, open files and parked calls stay within their bounds"},
    {"I22",
     "in true time nobody is granted a lock, and no lock is taken away, while its holder "
     "is still sure of it"},
    {"I23",
     "a server whose state is not the others' is quarantined, and no other is; a quarantined one "
     "answers nobody, does not stand and writes no snapshot; while another shows it the "
     "difference, "
     "an odd one gives its state to nobody"},
    {"I24", "a store that has served does not begin again: without its log it does not start"},
    {"LINEAR",
     "one order of all calls explains every answer to a model that shares no code with the "
     "servers"},
    {"DURABLE", "what was answered is in the log for ever"},
    {"LIVE", "a healed quorum finds a leader and answers everything in time"},
    {"STOPS", "a node stops for a documented reason only, and starts again on its own data"},
    {"CRASH", "no check of the product's own fails (HF_CHECK), and nothing else ends the program"},
    {"VACUOUS", "the run checked something"},
    {"DETERMINISM", "the same schedule gives the same run"},
}};

struct CoreWords {
  std::string_view words;
  Rule rule;
};
/// How raft/core/invariants.cc says it; anything else it says is about positions (I6).
constexpr CoreWords kCoreWords[] = {
    {"second leader beside", Rule::kI1},
    {"a leader deleted entries", Rule::kI2},
    {"of one term", Rule::kI3},
    {"mislabelled entry", Rule::kI3},
    {"leads without committed", Rule::kI4},
    {"committed another entry", Rule::kI5},
    {"voted before for", Rule::kI7},
    {"changed its vote", Rule::kI7},
    {"stands without its own vote", Rule::kI7},
    {"too many", Rule::kI21},
    {"configuration", Rule::kI8},
};

}  // namespace

const RuleText& text_of(Rule rule) { return kTexts[static_cast<size_t>(rule)]; }

std::optional<Rule> rule_named(std::string_view name) {
  for (size_t i = 0; i < kRules; ++i) {
    if (kTexts[i].name == name) return static_cast<Rule>(i);
  }
  return std::nullopt;
}

Rule rule_of_core(std::string_view breach) {
  for (const CoreWords& each : kCoreWords) {
    if (breach.find(each.words) != std::string_view::npos) return each.rule;
  }
  return Rule::kI6;
}

Broken::Broken(Rule broken_rule, const std::string& what)
    : std::runtime_error(std::string(text_of(broken_rule).name) + ": " + what), rule(broken_rule) {}

}  // namespace holdfast::sim
