#include "tests/history/timeline.h"

#include <algorithm>
#include <tuple>

#include "tests/history/key_timeline.h"

namespace holdfast::history {
namespace {

bool is_read(Call call) { return call == Call::kCheckToken || call == Call::kDescribeLock; }

bool is_command(Call call) {
  return call == Call::kAcquire || call == Call::kCancelAcquire || call == Call::kRelease ||
         call == Call::kSetHolderValue || call == Call::kRevokeLock || call == Call::kGuard;
}

/// What a cancel that came first left for its acquire: it says nothing of an entry of the acquire.
bool is_cancelled(const Operation& op) {
  return op.call == Call::kAcquire && op.answer.holder_id == 0 &&
         op.answer.status == Status::kNotGranted && op.answer.reason == Reason::kCancelled;
}

/// A setHolderValue or guard that answers NOT_HELD was applied: that is its outcome.
bool is_outcome(const Operation& op) {
  const bool may_not_hold = op.call == Call::kSetHolderValue || op.call == Call::kGuard;
  return op.answer.known &&
         (op.answer.error.empty() || (may_not_hold && op.answer.error == "NOT_HELD"));
}

bool same_content(const Arguments& a, const Arguments& b) {
  const auto content = [](const Arguments& x) {
    return std::tie(x.path, x.mode, x.permits, x.limit, x.wait_ms, x.max_queue, x.lock_delay_ms,
                    x.value, x.acquire_sequence, x.holder_id, x.to, x.force);
  };
  return content(a) == content(b);
}

bool same_outcome(const Answer& a, const Answer& b) {
  const auto outcome = [](const Answer& x) {
    return std::tie(x.error, x.status, x.reason, x.release, x.holder_id, x.token);
  };
  return outcome(a) == outcome(b);
}

std::string text(uint64_t number) { return std::to_string(number); }

class Layout {
 public:
  Layout(const History& history, const Known& known)
      : operations_(history.operations()), course_(history.course()), known_(known) {}

  Timeline run() {
    for (const Operation& op : operations_) learn_together(op);
    for (const Operation& op : operations_) learn_uncancelled(op);
    for (const Operation* op : by_time(operations_)) place(*op);
    for (const Operation* op : by_time(operations_)) place_list(*op);
    place_keys(operations_, course_, known_, timeline_);
    for (auto& [path, lock] : timeline_.locks) {
      name_uncancelled(lock);
      name_holders(lock);
    }
    for (auto& [path, lock] : timeline_.locks) learn(lock);
    for (const auto& [id, session] : timeline_.sessions) judge_session(id, session);
    for (auto& [path, lock] : timeline_.locks) judge_lock(lock);
    return std::move(timeline_);
  }

 private:
  void broken(const std::string& why) {
    if (timeline_.broken.empty()) timeline_.broken = why;
  }

  /// Of what a server answers from its own state: true at the reply's revision, which may be old.
  /// So are local reads, and retries of an acquire, which a server that has applied the first copy
  /// answers without asking the leader. (A grant counts only under a lease, which is the leader's.)
  static Window local_window(const Operation& op) {
    return {0, op.revision, std::numeric_limits<int64_t>::min(), kNever};
  }

  void place(const Operation& op) {
    place_session(op);
    if (writes_keys(op.call)) place_guards(op);
    if (const auto* locks = locks_of(op)) return place_together(op, *locks);
    if (is_command(op.call)) place_command(op);
    if (is_read(op.call) && is_outcome(op)) place_read(op);
  }

  /// A guard is a command of its lock from when its write was first sent.
  void place_guards(const Operation& op) {
    const auto sent = std::pair(op.arguments.session, op.arguments.sequence);
    const int64_t first = first_sent_.emplace(sent, op.invoked).first->second;
    for (Operation& guard : guards_of(op)) {
      guard.invoked = first;
      place_command(timeline_.made.emplace_back(std::move(guard)));
    }
  }

  // ------------------------------------------------------------------- several locks at once

  void learn_together(const Operation& op) {
    if (op.call != Call::kAcquireAll) return;
    const auto key = std::pair(op.arguments.session, op.arguments.sequence);
    together_[key] = op.arguments.locks;
    if (op.answer.holder_id != 0) together_by_holder_[op.answer.holder_id] = op.arguments.locks;
  }

  /// A cancel that came too late may be all that tells which holder id its acquireAll has.
  void learn_uncancelled(const Operation& op) {
    if (op.call != Call::kCancelAcquire || op.answer.holder_id == 0) return;
    if (const auto* locks = locks_of(op)) together_by_holder_[op.answer.holder_id] = *locks;
  }

  /// The locks of an acquireAll, of its cancel, or of its release; null of everything else.
  const std::vector<Wanted>* locks_of(const Operation& op) const {
    const auto found = [](const auto& map, const auto& key) {
      const auto at = map.find(key);
      return at == map.end() ? nullptr : &at->second;
    };
    const Arguments& asked = op.arguments;
    switch (op.call) {
      case Call::kAcquireAll:
        return &asked.locks;
      case Call::kCancelAcquire:
        return found(together_, std::pair(asked.session, asked.acquire_sequence));
      case Call::kReleaseAll:
        return found(together_by_holder_, asked.holder_id);
      default:
        return nullptr;
    }
  }

  /// A command of each of its locks, with one outcome.
  void place_together(const Operation& op, const std::vector<Wanted>& locks) {
    for (const Wanted& wanted : locks) {
      Operation& part = timeline_.made.emplace_back(op);
      // One that names a single lock is an acquire.
      part.arguments.together = locks.size() > 1;
      part.arguments.path = wanted.path;
      if (op.call == Call::kAcquireAll) {
        part.call = Call::kAcquire;
        part.arguments.mode = wanted.mode;
        part.arguments.permits = wanted.permits;
        part.arguments.limit = wanted.limit;
        part.answer.position = 0;
      } else if (op.call == Call::kReleaseAll) {
        part.call = Call::kRelease;
        const bool some = op.answer.release == ReleaseStatus::kReleased;
        if (part.arguments.together && some) part.answer.release = ReleaseStatus::kNone;
      }
      place_command(part);
    }
  }

  // ------------------------------------------------------------------------------ sessions

  void alive(uint64_t id, uint64_t revision, const Operation& witness) {
    timeline_.sessions[id].saw_alive(revision, witness);
  }

  void ended(uint64_t id, uint64_t revision, const Operation& witness) {
    Session& session = timeline_.sessions[id];
    if (session.ended_by <= revision) return;
    session.ended_by = revision;
    session.ended_witness = &witness;
  }

  void place_session(const Operation& op) {
    const uint64_t id = op.arguments.session;
    if (op.call == Call::kOpenSession) return place_open(op);
    if (op.call == Call::kCloseSession && !(op.answer.known && !op.answer.error.empty())) {
      timeline_.sessions[id].close = &op;
    }
    if (id == 0 || !op.answer.known) return;
    if (op.answer.error == "SESSION_EXPIRED") ended(id, op.revision, op);
    if (!is_outcome(op)) return;
    if (op.call == Call::kCloseSession) return ended(id, op.revision, op);
    // What an answered command says of its session take_answer() knows: a retry may be answered
    // from a state in which the session has not ended yet.
    if (op.call == Call::kRenew && op.answer.lease_ms > 0) {
      alive(id, known_.revision(op.invoked), op);
    }
  }

  void place_open(const Operation& op) {
    if (!is_outcome(op)) return;
    const uint64_t id = op.answer.session;
    const auto [at, fresh] = opened_.emplace(op.arguments.secret, &op);
    if (!fresh && at->second->answer.session != id) {
      broken(name_of(op) + " opened session " + text(id) + " with the secret with which " +
             name_of(*at->second) + " opened session " + text(at->second->answer.session) +
             ": one command was applied twice");
    }
    alive(id, std::max(id, known_.revision(op.invoked)), op);
  }

  void judge_session(uint64_t id, const Session& session) {
    if (session.alive_witness == nullptr || session.ended_by > session.alive_at) return;
    broken("session " + text(id) + " had ended by revision " + text(session.ended_by) +
           " according to " + name_of(*session.ended_witness) + ", and was alive at revision " +
           text(session.alive_at) + " according to " + name_of(*session.alive_witness));
  }

  // ------------------------------------------------------------------------------ commands

  void place_command(const Operation& op) {
    // A copy that was refused before it was applied never takes effect (IDL, Applied.NO).
    if (op.answer.known && !is_outcome(op)) return;
    LockHistory& lock = timeline_.locks[op.arguments.path];
    lock.path = op.arguments.path;
    const auto key = std::pair(op.arguments.session, op.arguments.sequence);
    const auto found = lock.by_sequence.find(key);
    const bool numbered = op.arguments.sequence != 0;
    if (!numbered || found == lock.by_sequence.end()) {
      if (numbered) lock.by_sequence[key] = lock.commands.size();
      lock.commands.push_back(
          {.first = &op, .window = {known_.window(op).after, kNoRevision, op.invoked}});
      return take_answer(lock.commands.back(), op);
    }
    Command& command = lock.commands[found->second];
    if (command.first->call != op.call || !same_content(command.first->arguments, op.arguments)) {
      return broken(name_of(op) + " has the session and sequence of " + name_of(*command.first) +
                    ", but other content");
    }
    take_answer(command, op);
  }

  void take_answer(Command& command, const Operation& op) {
    if (!op.answer.known) return;
    if (op.revision <= command.window.after && !is_cancelled(op)) {
      return broken(known_.stale(
          *command.first, "took effect at revision " + text(op.revision) + " at the latest"));
    }
    if (op.call == Call::kGuard && op.answer.write_revision != 0) {
      command.window.after = std::max(command.window.after, op.answer.write_revision - 1);
    }
    command.window.until = std::min(command.window.until, op.revision);
    command.window.returned = std::min(command.window.returned, op.returned);
    if (op.call == Call::kAcquire) {
      command.answers.push_back({&op, local_window(op)});
      if (op.answer.holder_id != 0) take_holder(command, op);
    } else if (command.told != nullptr && !same_outcome(command.told->answer, op.answer)) {
      broken(name_of(op) + " is a retry of " + name_of(*command.told) + " and got another outcome");
    }
    command.told = &op;
    if (op.arguments.session != 0 && !is_cancelled(op))
      alive(op.arguments.session, command.window.after + 1, op);
  }

  void take_holder(Command& command, const Operation& op) {
    const uint64_t id = op.answer.holder_id;
    if (command.holder_id != 0 && command.holder_id != id) {
      return broken(name_of(op) + " is a retry of " + name_of(*command.first) +
                    " and was answered holder id " + text(id) + " instead of " +
                    text(command.holder_id) + ": one command was applied twice");
    }
    if (id <= command.window.after) {
      return broken(known_.stale(*command.first, "was applied as revision " + text(id)));
    }
    if (id > op.revision || op.answer.token > op.revision) {
      return broken(name_of(op) + " names an entry after the reply's own revision " +
                    text(op.revision));
    }
    command.holder_id = id;
    const bool granted = op.answer.status == Status::kGranted;
    alive(op.arguments.session, granted ? op.answer.token : id, op);
    if (op.answer.token != 0) take_token(command, op.answer.token, op);
  }

  void take_token(Command& command, uint64_t token, const Operation& op) {
    if (command.token != 0 && command.token != token) {
      return broken(name_of(op) + " shows token " + text(token) + " of " + name_of(*command.first) +
                    ", which had token " + text(command.token) + " before");
    }
    if (token < command.holder_id) {
      return broken(name_of(op) + " shows token " + text(token) + ", older than the acquire with " +
                    "holder id " + text(command.holder_id));
    }
    command.token = token;
  }

  // ---------------------------------------------------------------------------------- reads

  void place_read(const Operation& op) {
    const Window when = op.arguments.local ? local_window(op) : known_.window(op);
    if (const auto why = known_.stale_read(op, when)) return broken(*why);
    LockHistory& lock = timeline_.locks[op.arguments.path];
    lock.path = op.arguments.path;
    lock.reads.push_back({&op, when});
  }

  void place_list(const Operation& op) {
    if (op.call != Call::kListLocks || !is_outcome(op)) return;
    std::map<std::string, const Listed*> shown;
    for (const Listed& each : op.answer.locks) {
      if (timeline_.locks.contains(each.path)) {
        shown[each.path] = &each;
      } else {
        broken(name_of(op) + " shows " + each.path + ", which nobody has asked for");
      }
    }
    const bool all = op.arguments.page.empty() && op.answer.next_page.empty();
    for (const auto& [path, lock] : timeline_.locks) {
      if (!path.starts_with(op.arguments.path)) continue;
      const auto at = shown.find(path);
      if (at == shown.end() && !all) continue;
      Operation& read = timeline_.made.emplace_back(op);
      read.arguments.path = path;
      read.answer.locks = {at == shown.end() ? Listed{} : *at->second};
      read.answer.holders = read.answer.locks[0].holders;
      place_read(read);
    }
  }

  /// A cancel that came too late tells what its acquire was granted.
  void name_uncancelled(LockHistory& lock) {
    for (const Command& command : lock.commands) {
      if (command.first->call != Call::kCancelAcquire || command.told == nullptr ||
          command.told->answer.status != Status::kGranted || command.told->answer.holder_id == 0) {
        continue;
      }
      const Arguments& asked = command.told->arguments;
      const auto target = lock.by_sequence.find({asked.session, asked.acquire_sequence});
      if (target != lock.by_sequence.end()) {
        take_holder(lock.commands[target->second], *command.told);
      }
    }
  }

  /// Which acquire has which holder id. One that was never answered may show up in a description.
  void name_holders(LockHistory& lock) {
    for (size_t i = 0; i < lock.commands.size(); ++i) {
      const uint64_t id = lock.commands[i].holder_id;
      if (id == 0) continue;
      const auto [at, fresh] = lock.by_holder.emplace(id, i);
      if (fresh) continue;
      broken("holder id " + text(id) + " was answered to " + name_of(*lock.commands[i].first) +
             " and to " + name_of(*lock.commands[at->second].first));
    }
    for (const auto& [read, when] : lock.reads) {
      for (const auto* list :
           {&read->answer.holders, &read->answer.waiters, &read->answer.tenures}) {
        for (const Seen& seen : *list) name_holder(lock, seen, *read);
      }
    }
  }

  void name_holder(LockHistory& lock, const Seen& seen, const Operation& read) {
    if (lock.by_holder.contains(seen.holder_id)) return;
    // The latest that fits: acquires of one lock by one owner in a session follow each other.
    for (size_t i = lock.commands.size(); i-- > 0;) {
      Command& command = lock.commands[i];
      if (command.first->call != Call::kAcquire || command.holder_id != 0 ||
          command.first->arguments.session != seen.session ||
          (!seen.owner.empty() && command.first->arguments.owner != seen.owner) ||
          command.window.after >= seen.holder_id) {
        continue;
      }
      command.holder_id = seen.holder_id;
      lock.by_holder[seen.holder_id] = i;
      return;
    }
    broken(name_of(read) + " shows holder id " + text(seen.holder_id) + " of session " +
           text(seen.session) + ", which no acquire of this history can have");
  }

  void learn(LockHistory& lock) {
    for (const auto& [read, when] : lock.reads) {
      for (const Seen& seen : read->answer.holders) learn_present(lock, seen, *read);
      for (const Seen& seen : read->answer.waiters) learn_present(lock, seen, *read);
      for (const Seen& seen : read->answer.tenures) learn_past(lock, seen, *read);
      if (read->call == Call::kCheckToken) lock.stray_tokens.insert(read->answer.token);
    }
    lock.stray_tokens.erase(0);
    for (const Command& command : lock.commands) lock.stray_tokens.erase(command.token);
  }

  void learn_present(LockHistory& lock, const Seen& seen, const Operation& read) {
    const auto at = lock.by_holder.find(seen.holder_id);
    if (at == lock.by_holder.end()) return;
    alive(seen.session, read.revision, read);
    if (seen.token != 0) take_token(lock.commands[at->second], seen.token, read);
  }

  void learn_past(LockHistory& lock, const Seen& seen, const Operation& read) {
    const auto at = lock.by_holder.find(seen.holder_id);
    if (at == lock.by_holder.end()) return;
    Command& command = lock.commands[at->second];
    take_token(command, seen.token, read);
    if (command.end_revision != 0 && command.end_revision != seen.end_revision) {
      return broken(name_of(read) + " shows that holder id " + text(seen.holder_id) +
                    " ended at revision " + text(seen.end_revision) + "; before it was revision " +
                    text(command.end_revision));
    }
    command.end_revision = seen.end_revision;
    command.end_reason = seen.end_reason;
    if (seen.end_reason == EndReason::kSessionClosed ||
        seen.end_reason == EndReason::kSessionExpired ||
        seen.end_reason == EndReason::kSessionRevoked) {
      ended(seen.session, seen.end_revision, read);
      timeline_.sessions[seen.session].ended_at = seen.end_revision;
    }
  }

  void judge_lock(const LockHistory& lock) {
    std::map<uint64_t, const Command*> exclusive;
    for (const Command& command : lock.commands) {
      if (command.token == 0 || command.first->arguments.mode != Mode::kExclusive) continue;
      const auto [at, fresh] = exclusive.emplace(command.token, &command);
      if (fresh) continue;
      broken("token " + text(command.token) + " of " + lock.path + " was given to " +
             name_of(*command.first) + " and to " + name_of(*at->second->first));
    }
  }

  const std::vector<Operation>& operations_;
  const Course* const course_;
  const Known& known_;
  Timeline timeline_;
  std::map<std::string, const Operation*> opened_;
  std::map<std::pair<uint64_t, uint64_t>, int64_t> first_sent_;  ///< writes of keys
  std::map<std::pair<uint64_t, uint64_t>, std::vector<Wanted>>
      together_;  ///< by (session, sequence)
  std::map<uint64_t, std::vector<Wanted>> together_by_holder_;
};

}  // namespace

Timeline lay_out(const History& history, const Known& known) {
  return Layout(history, known).run();
}

}  // namespace holdfast::history
