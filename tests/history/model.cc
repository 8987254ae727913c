#include "tests/history/model.h"

#include <algorithm>

namespace holdfast::history {

uint64_t mix(uint64_t hash, uint64_t number) {
  uint64_t z = (hash ^ number) + 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

namespace {

using Kind = LockModel::Outcome::Kind;

std::pair<uint64_t, uint64_t> hash_of(size_t command, const LockModel::Outcome& outcome) {
  const uint64_t packed = static_cast<uint64_t>(outcome.kind) * 256 +
                          static_cast<uint64_t>(outcome.reason) * 16 +
                          static_cast<uint64_t>(outcome.end);
  return {mix(mix(1, command), packed), mix(mix(2, command), packed)};
}

uint64_t hash_of(uint64_t seed, const std::vector<LockModel::Claim>& claims) {
  for (const LockModel::Claim& claim : claims) {
    seed = mix(mix(seed, claim.command), claim.token * 2 + (claim.revoking ? 1 : 0));
    for (const char c : claim.value) seed = mix(seed, static_cast<unsigned char>(c));
  }
  return mix(seed, claims.size());
}

uint64_t hash_of(uint64_t seed, const LockModel::State& state) {
  seed = hash_of(hash_of(seed, state.holders), state.queue);
  for (const uint64_t session : state.ended) seed = mix(seed, session);
  seed = mix(mix(seed, state.open_until.value_or(0)), state.closed_until);
  return mix(seed, state.last_token);
}

bool comes_by_itself(Step::Kind kind) {
  return kind == Step::Kind::kSessionEnd || kind == Step::Kind::kTimeout ||
         kind == Step::Kind::kGiveAway || kind == Step::Kind::kOpen;
}

}  // namespace

LockModel::LockModel(const LockHistory& lock, const std::map<uint64_t, Session>& sessions,
                     const Known& known)
    : lock_(lock), sessions_(sessions), known_(known), outcomes_(lock.commands.size()) {}

std::optional<uint64_t> LockModel::apply(const Step& step, uint64_t earliest, uint64_t latest) {
  pinned_ = 0;
  closes_ms_.reset();
  const uint64_t closed_before = state_.closed_until;
  if (state_.open_until) latest = std::min(latest, *state_.open_until);
  if (!take(step)) return std::nullopt;
  const uint64_t revision = pinned_ != 0 ? pinned_ : earliest;
  if (revision < earliest || revision > latest) {
    impossible([&] {
      return "it has to be revision " + std::to_string(revision) + ", and can only be one from " +
             std::to_string(earliest) + " to " + std::to_string(latest);
    });
    return std::nullopt;
  }
  if (!stamp(revision)) return std::nullopt;
  if (closes_ms_) state_.closed_until = std::max(closed_before, open_from(revision));
  if (state_.open_until) state_.open_until = pinned_ != 0 ? pinned_ : latest;
  return revision;
}

/// A lock that was closed at a revision opens in a later entry, and not before most of the delay
/// has passed since then.
uint64_t LockModel::open_from(uint64_t closed) const {
  if (*closes_ms_ == 0) return closed;
  return std::max(closed + 1, known_.first_at(known_.sent_by(closed) + least_ns(*closes_ms_)));
}

void LockModel::restore(const Mark& mark) {
  state_ = mark.state;
  outcome_hash_ = mark.outcome_hash;
  while (journal_.size() > mark.journal) {
    outcomes_[journal_.back().first] = journal_.back().second;
    journal_.pop_back();
  }
}

std::pair<uint64_t, uint64_t> LockModel::hash() const {
  return {hash_of(outcome_hash_.first, state_), hash_of(outcome_hash_.second, state_)};
}

bool LockModel::has_claim(uint64_t session) const {
  const auto of_session = [&](const Claim& c) { return asked(c.command).session == session; };
  return std::any_of(state_.holders.begin(), state_.holders.end(), of_session) ||
         std::any_of(state_.queue.begin(), state_.queue.end(), of_session);
}

std::string LockModel::name(size_t index) const {
  const Command& named = command(index);
  const std::string id =
      named.holder_id == 0 ? "" : ", holder id " + std::to_string(named.holder_id);
  return name_of(*named.first) + id;
}

std::string LockModel::describe() const {
  const auto list = [&](const std::vector<Claim>& claims) {
    std::string text;
    for (const Claim& claim : claims) {
      text += (text.empty() ? "" : "; ") + name(claim.command);
      if (claim.token != 0) text += ", token " + std::to_string(claim.token);
    }
    return text.empty() ? std::string("nobody") : text;
  };
  return "held by " + list(state_.holders) + "; waiting: " + list(state_.queue) +
         (state_.closed_until == 0 ? "" : "; closed by a lock-delay");
}

bool LockModel::impossible(const std::function<std::string()>& why) {
  if (explaining_) reason_ = why();
  return false;
}

void LockModel::set(size_t command, Outcome outcome) {
  const auto before = hash_of(command, outcomes_[command]);
  const auto after = hash_of(command, outcome);
  outcome_hash_.first += after.first - before.first;
  outcome_hash_.second += after.second - before.second;
  journal_.emplace_back(command, outcomes_[command]);
  outcomes_[command] = outcome;
}

bool LockModel::pin(uint64_t revision, size_t index, const char* what) {
  if (revision == 0 || pinned_ == revision) return true;
  if (pinned_ != 0) {
    return impossible([&] {
      return name(index) + " " + what + " at revision " + std::to_string(revision) +
             ", which cannot also be revision " + std::to_string(pinned_);
    });
  }
  pinned_ = revision;
  return true;
}

/// Tokens of the claims granted in this step: larger than all before (PROMISE 2).
bool LockModel::stamp(uint64_t revision) {
  const uint64_t before = state_.last_token;
  for (Claim& claim : state_.holders) {
    if (claim.token != 0) continue;
    claim.token = revision;
    const bool alone = asked(claim.command).mode == Mode::kExclusive;
    if (revision < before || (alone && revision == before)) {
      return impossible([&] {
        return "token " + std::to_string(revision) + " of " + name(claim.command) +
               " is not greater than token " + std::to_string(before) + " before it";
      });
    }
    state_.last_token = revision;
  }
  return true;
}

// -------------------------------------------------------------------------------- what a lock does

bool LockModel::fits(const Claim& claim, const std::vector<Claim>& holders) const {
  const Arguments& wanted = asked(claim.command);
  uint64_t permits = 0;
  for (const Claim& other : holders) {
    const Arguments& has = asked(other.command);
    if (wanted.mode == Mode::kExclusive || has.mode == Mode::kExclusive) return false;
    permits += has.permits;
  }
  return wanted.mode != Mode::kSemaphore || permits + wanted.permits <= wanted.limit;
}

bool LockModel::head_fits() const {
  return state_.closed_until == 0 && !state_.queue.empty() &&
         fits(state_.queue.front(), state_.holders);
}

bool LockModel::head_is_together() const { return asked(state_.queue.front().command).together; }

size_t LockModel::waiting_together() const {
  return static_cast<size_t>(std::ranges::count_if(
      state_.queue, [&](const Claim& claim) { return asked(claim.command).together; }));
}

/// Grants from the head of the queue as long as it fits; then what only tried is refused. An
/// acquireAll at the head that fits waits for its other locks: `together` says how many do not.
bool LockModel::settle(size_t together) {
  state_.open_until.reset();
  while (head_fits()) {
    if (head_is_together() && together-- == 0) {
      together = 0;
      break;
    }
    const Claim head = state_.queue.front();
    state_.queue.erase(state_.queue.begin());
    grant(head);
  }
  std::erase_if(state_.queue, [&](const Claim& claim) {
    if (asked(claim.command).wait_ms != 0) return false;
    set(claim.command, {Kind::kNotGranted, Reason::kBusy});
    return true;
  });
  if (together == 0) return true;
  return impossible([&] { return "no acquireAll could have it: " + describe(); });
}

void LockModel::grant(Claim claim) {
  set(claim.command, {Kind::kGranted});
  state_.holders.push_back(std::move(claim));
}

bool LockModel::end(const Claim& claim, EndReason reason) {
  const Command& ending = command(claim.command);
  const size_t index = claim.command;
  std::erase_if(state_.holders, [&](const Claim& c) { return c.command == index; });
  // Of a session's end the search knows only that it came; what was seen of it says why.
  if (reason == EndReason::kNone) reason = ending.end_reason;
  set(index, {Kind::kEnded, Reason::kNone, reason});
  if (ending.end_revision == 0) return true;
  if (ending.end_reason != reason) {
    return impossible([&] {
      return name(index) + " would end for reason " + std::to_string(static_cast<int>(reason)) +
             ", its tenure shows reason " + std::to_string(static_cast<int>(ending.end_reason));
    });
  }
  return pin(ending.end_revision, index, "ended");
}

std::vector<LockModel::Claim>::iterator LockModel::holder(uint64_t holder_id, uint64_t session) {
  return std::find_if(state_.holders.begin(), state_.holders.end(), [&](const Claim& c) {
    return command(c.command).holder_id == holder_id &&
           (session == 0 || asked(c.command).session == session);
  });
}

bool LockModel::take(const Step& step) {
  const std::vector<Claim> before = state_.holders;
  const auto held_before = [&](const Claim& claim) {
    return std::any_of(before.begin(), before.end(),
                       [&](const Claim& c) { return c.command == claim.command; });
  };
  bool done = false;
  switch (step.kind) {
    case Step::Kind::kCommand:
      done = apply_command(step.index);
      break;
    case Step::Kind::kAnswer:
      return answer(step.index, *command(step.index).answers[step.answer].first);
    case Step::Kind::kRead:
      return read(*lock_.reads[step.index].first);
    case Step::Kind::kSessionEnd:
      done = end_session(step.session);
      break;
    case Step::Kind::kTimeout:
      done = time_out(step.index);
      break;
    case Step::Kind::kGiveAway:
      done = give_away(step.index);
      break;
    case Step::Kind::kOpen:
      state_.closed_until = 0;
      done = true;
      break;
    case Step::Kind::kSettle:
      done = true;
      break;
  }
  if (!done) return false;
  if (comes_by_itself(step.kind) && head_fits() && !head_is_together()) {
    state_.open_until.emplace();  // apply() says until when
    return true;
  }
  if (!settle(step.together)) return false;
  return std::all_of(state_.holders.begin(), state_.holders.end(), [&](const Claim& claim) {
    return held_before(claim) || pin(command(claim.command).token, claim.command, "was granted");
  });
}

bool LockModel::apply_command(size_t index) {
  const uint64_t session = asked(index).session;
  if (std::binary_search(state_.ended.begin(), state_.ended.end(), session)) {
    return impossible([&] { return "session " + std::to_string(session) + " had ended"; });
  }
  switch (command(index).first->call) {
    case Call::kAcquire:
      return acquire(index);
    case Call::kCancelAcquire:
      return cancel(index);
    case Call::kRelease:
      return release(index);
    case Call::kSetHolderValue:
      return set_value(index);
    case Call::kGuard:
      return guard(index);
    case Call::kRevokeLock:
      return revoke(index);
    default:
      return false;
  }
}

bool LockModel::acquire(size_t index) {
  // Cancelled before it arrived: the late copy changes nothing.
  if (outcomes_[index].kind != Kind::kNone) return true;
  const Arguments& wanted = asked(index);
  for (const auto* list : {&state_.holders, &state_.queue}) {
    for (const Claim& other : *list) {
      const Arguments& has = asked(other.command);
      const bool semaphore = wanted.mode == Mode::kSemaphore;
      if (semaphore == (has.mode == Mode::kSemaphore) &&
          (!semaphore || wanted.limit == has.limit)) {
        continue;
      }
      return impossible([&] { return "the lock is of another kind: " + describe(); });
    }
  }
  // The queue of another of its locks may have been full.
  const Operation* told = command(index).told;
  const bool refused = wanted.together && told != nullptr &&
                       told->answer.status == Status::kNotGranted &&
                       told->answer.reason == Reason::kQueueFull;
  if (refused) {
    set(index, {Kind::kNotGranted, Reason::kQueueFull});
    return true;
  }
  if (wanted.max_queue > 0 && state_.queue.size() >= static_cast<size_t>(wanted.max_queue)) {
    set(index, {Kind::kNotGranted, Reason::kQueueFull});
    return true;
  }
  set(index, {Kind::kWaiting});
  state_.queue.push_back({index, 0, wanted.value});
  return true;
}

bool LockModel::cancel(size_t index) {
  const auto at = lock_.by_sequence.find({asked(index).session, asked(index).acquire_sequence});
  set(index, {Kind::kDone});
  if (at == lock_.by_sequence.end()) {
    return told_outcome(index, Status::kNotGranted, Reason::kCancelled);
  }
  const size_t target = at->second;
  const Outcome outcome = outcomes_[target];
  switch (outcome.kind) {
    case Kind::kNone:
    case Kind::kWaiting:
      set(target, {Kind::kNotGranted, Reason::kCancelled});
      std::erase_if(state_.queue, [&](const Claim& c) { return c.command == target; });
      return told_outcome(index, Status::kNotGranted, Reason::kCancelled);
    case Kind::kNotGranted:
      return told_outcome(index, Status::kNotGranted, outcome.reason);
    case Kind::kEnded:
      return told_outcome(index, Status::kNotHeld, Reason::kNone);
    case Kind::kGranted:
    case Kind::kDone:
      break;
  }
  // Of an acquireAll the first tenure that ended is told, which may be that of another lock.
  const Operation* told = command(index).told;
  const bool ended =
      asked(target).together && told != nullptr && told->answer.status == Status::kNotHeld;
  if (ended) return true;
  return told_outcome(index, Status::kGranted, Reason::kNone);
}

bool LockModel::told_outcome(size_t index, Status status, Reason reason) {
  const Operation* told = command(index).told;
  if (told == nullptr || (told->answer.status == status && told->answer.reason == reason)) {
    return true;
  }
  return impossible([&] {
    return "it was answered status " + std::to_string(static_cast<int>(told->answer.status)) +
           ", reason " + std::to_string(static_cast<int>(told->answer.reason)) +
           "; the model answers status " + std::to_string(static_cast<int>(status)) + ", reason " +
           std::to_string(static_cast<int>(reason)) + ": " + describe();
  });
}

bool LockModel::release(size_t index) {
  const Arguments& wanted = asked(index);
  set(index, {Kind::kDone});
  const auto at = holder(wanted.holder_id, wanted.session);
  if (at == state_.holders.end()) return told_release(index, ReleaseStatus::kNotHeld);
  const Claim giver = *at;
  if (wanted.to != 0) return hand_over(index, giver);
  return told_release(index, ReleaseStatus::kReleased) && end(giver, EndReason::kReleased);
}

bool LockModel::hand_over(size_t index, Claim giver) {
  const auto target = std::find_if(state_.queue.begin(), state_.queue.end(), [&](const Claim& c) {
    return command(c.command).holder_id == asked(index).to;
  });
  if (target == state_.queue.end()) return told_release(index, ReleaseStatus::kTargetGone);
  std::vector<Claim> others = state_.holders;
  std::erase_if(others, [&](const Claim& c) { return c.command == giver.command; });
  const bool together = asked(target->command).together;
  if (together || state_.closed_until != 0 || !fits(*target, others)) {
    return told_release(index, ReleaseStatus::kTargetBlocked);
  }
  const Claim taker = *target;
  state_.queue.erase(target);
  if (!end(giver, EndReason::kHandedOver)) return false;
  grant(taker);
  return told_release(index, ReleaseStatus::kHandedOver);
}

bool LockModel::told_release(size_t index, ReleaseStatus status) {
  const Operation* told = command(index).told;
  if (told == nullptr || told->answer.release == status) return true;
  // What releaseAll found of each lock it does not say.
  if (asked(index).together && told->answer.release == ReleaseStatus::kNone) return true;
  return impossible([&] {
    return "it was answered " + std::to_string(static_cast<int>(told->answer.release)) +
           "; the model answers " + std::to_string(static_cast<int>(status)) + ": " + describe();
  });
}

bool LockModel::set_value(size_t index) {
  const auto at = holder(asked(index).holder_id, asked(index).session);
  set(index, {Kind::kDone});
  const bool held = at != state_.holders.end();
  if (held) at->value = asked(index).value;
  return told_holding(index, held);
}

bool LockModel::guard(size_t index) {
  const auto at = holder(asked(index).holder_id, asked(index).session);
  set(index, {Kind::kDone});
  return told_holding(index, at != state_.holders.end());
}

bool LockModel::told_holding(size_t index, bool held) {
  const Operation* told = command(index).told;
  if (told == nullptr || told->answer.error.empty() == held) return true;
  return impossible([&] {
    return (held ? "it was refused, but its holder holds the lock: "
                 : "it was taken, but its holder does not hold the lock: ") +
           describe();
  });
}

bool LockModel::revoke(size_t index) {
  set(index, {Kind::kDone});
  const Arguments& wanted = asked(index);
  for (const Claim& claim : std::vector(state_.holders)) {
    if (wanted.holder_id != 0 && command(claim.command).holder_id != wanted.holder_id) continue;
    if (wanted.force) {
      if (!end(claim, EndReason::kRevoked)) return false;
      continue;
    }
    for (Claim& mine : state_.holders) {
      if (mine.command == claim.command) mine.revoking = true;
    }
  }
  return true;
}

bool LockModel::end_session(uint64_t session) {
  state_.ended.insert(std::lower_bound(state_.ended.begin(), state_.ended.end(), session), session);
  std::erase_if(state_.queue, [&](const Claim& c) {
    if (asked(c.command).session != session) return false;
    set(c.command, {Kind::kNotGranted, Reason::kNone});
    return true;
  });
  for (const Claim& claim : std::vector(state_.holders)) {
    if (asked(claim.command).session != session) continue;
    const EndReason seen = command(claim.command).end_reason;
    const bool expected =
        seen == EndReason::kNone || seen == EndReason::kSessionExpired ||
        seen == EndReason::kSessionRevoked ||
        (seen == EndReason::kSessionClosed && sessions_.at(session).close != nullptr);
    if (!expected) {
      return impossible([&] {
        return "the tenure of " + name(claim.command) + " ended for reason " +
               std::to_string(static_cast<int>(seen));
      });
    }
    close(claim);
    if (!end(claim, EndReason::kNone)) return false;
  }
  return true;
}

/// A session that expires or is ended closes its locks that have a lock-delay, and opens them in a
/// later entry. If its client may have closed it as well, the delay may have been none.
void LockModel::close(const Claim& claim) {
  if (asked(claim.command).lock_delay_ms == 0) return;
  const EndReason seen = command(claim.command).end_reason;
  if (seen == EndReason::kSessionClosed) return;
  const auto session = sessions_.find(asked(claim.command).session);
  const bool sure =
      seen != EndReason::kNone || session == sessions_.end() || session->second.close == nullptr;
  const int64_t delay_ms = sure ? asked(claim.command).lock_delay_ms : 0;
  closes_ms_ = std::max(closes_ms_.value_or(0), delay_ms);
  state_.closed_until = kNoRevision;  // until apply() knows the revision
}

bool LockModel::time_out(size_t index) {
  set(index, {Kind::kNotGranted, Reason::kTimedOut});
  std::erase_if(state_.queue, [&](const Claim& c) { return c.command == index; });
  return true;
}

bool LockModel::give_away(size_t index) {
  for (const Claim& claim : std::vector(state_.holders)) {
    if (claim.command == index) return end(claim, EndReason::kRevoked);
  }
  return false;
}

}  // namespace holdfast::history
