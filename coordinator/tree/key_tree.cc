// One entry from begin() to settle(), and what ends by itself.
#include "coordinator/tree/key_tree.h"

#include "base/check.h"
#include "coordinator/tree/state.h"

namespace holdfast::tree {

KeyTree::KeyTree(RowLog& rows, const Options& options)
    : state_(std::make_unique<State>(rows, options)) {}

KeyTree::~KeyTree() = default;

KeyTree::State::State(RowLog& row_log, const Options& options)
    : rows(row_log), hash_seed(options.hash_seed), root(Key::make({}, {})) {
  root->id = kRootId;
  root->path_hash = hash_below(hash_seed, {});
}

KeyTree::State::~State() {
  timers.clear();
  std::vector<Key*> keys{root};
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i]->tie != nullptr) keys[i]->tie->owner->ties.clear();
    if (keys[i]->family == nullptr) continue;
    for (Key& child : keys[i]->family->children) keys.push_back(&child);
    keys[i]->family->children.clear();
  }
  for (Key* key : keys) Key::destroy(key);
}

void KeyTree::begin(Revision revision, int64_t now_ms, int64_t unix_ms) {
  State& s = *state_;
  HF_CHECK(!s.in_entry, "the entry before was not settled");
  HF_CHECK(revision > s.revision, "revisions ascend");
  HF_CHECK(revision.value >> (64 - kMadeBits) == 0, "the revision leaves no room for key numbers");
  HF_CHECK(now_ms >= s.now_ms, "cluster time does not go back");
  s.in_entry = true;
  s.revision = revision;
  s.now_ms = now_ms;
  s.unix_ms = unix_ms;
  s.made = s.removed = 0;
  s.effects.events.clear();
  s.texts.clear();
}

size_t KeyTree::run_due(size_t limit) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  size_t done = 0;
  for (; done < limit && !s.timers.empty() && s.timers.begin()->at_ms <= s.now_ms; ++done) {
    Key* const key = s.timers.begin()->key;
    s.drop(key, key->kind == KeyKind::kTtl ? RemoveReason::kTtl : RemoveReason::kContainer);
  }
  return done;
}

// PROMISE 7: an ephemeral key has no children, so nothing stands in the way of its removal.
void KeyTree::end_sessions(std::span<const SessionId> sessions) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  for (SessionId session : sessions) {
    while (Owner* const owner = s.find_owner(session)) {
      s.drop(owner->ties.begin()->key, RemoveReason::kSessionEnded);
    }
  }
}

std::optional<Failure> KeyTree::apply(std::span<const Operation> operations, const Limits& limits,
                                      std::vector<Outcome>& outcomes) {
  State& s = *state_;
  HF_CHECK(s.in_entry, "commands stand between begin() and settle()");
  outcomes.clear();
  s.keeps_journal = operations.size() > 1;  // an operation that fails has changed nothing itself
  const State::Mark before = s.mark();
  std::optional<Failure> failure;
  for (size_t i = 0; i < operations.size() && !failure; ++i) {
    Result<Outcome> outcome = s.run(operations[i], limits);
    if (outcome.ok()) {
      outcomes.push_back(*outcome);
    } else {
      failure = Failure{.index = i, .error = outcome.error()};
    }
  }
  s.keeps_journal = false;
  if (failure) {
    s.roll_back(before);
    outcomes.clear();
  }
  s.journal.clear();
  return failure;
}

const Effects& KeyTree::settle() {
  State& s = *state_;
  HF_CHECK(s.in_entry, "settle() ends what begin() began");
  s.flush();
  for (Key* key : s.gone_keys) s.discard(key);
  s.gone_keys.clear();
  s.in_entry = false;
  return s.effects;
}

std::optional<int64_t> KeyTree::next_due_ms() const {
  const Timers& timers = state_->timers;
  return timers.empty() ? std::nullopt : std::optional(timers.begin()->at_ms);
}

}  // namespace holdfast::tree
