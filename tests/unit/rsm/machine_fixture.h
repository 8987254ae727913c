// Drives a StateMachine by encoded commands, the way a log does, and reads its effects.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/rsm/command_codec.h"
#include "coordinator/rsm/effects.h"
#include "coordinator/rsm/state_machine.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::rsm {

inline constexpr int32_t kOriginNode = 7;

inline int number(AcquireStatus status) { return static_cast<int>(status); }

/// A secret's hash that begins with `name`.
inline std::string hash_of(const std::string& name) {
  std::string hash = name;
  hash.resize(32, '.');
  return hash;
}

inline command::Acquire acquire_of(std::string path, int64_t wait_ms = -1) {
  command::Acquire body;
  body.claim.path = std::move(path);
  body.claim.mode = api::LockMode::EXCLUSIVE;
  body.waitMs = wait_ms;
  return body;
}

inline command::Release release_of(std::string path, Revision holder, Revision to = {}) {
  command::Release body;
  body.path = std::move(path);
  body.holderId = static_cast<int64_t>(holder.value);
  body.to = static_cast<int64_t>(to.value);
  return body;
}

class MachineTest : public testing::Test {
 protected:
  ~MachineTest() override { EXPECT_EQ(machine_.check_invariants(), ""); }

  command::CommandHeader header(command::CommandKind::type kind, SessionId session = {},
                                uint64_t sequence = 0) {
    command::CommandHeader header;
    header.level = level_;
    header.kind = kind;
    header.originNode = kOriginNode;
    header.originRequest = ++request_;
    header.clusterTimeMs = now_ms_;
    header.wallUnixMs = 1'700'000'000'000 + now_ms_;
    header.decidedTerm = static_cast<int64_t>(term_.value);
    header.sessionId = static_cast<int64_t>(session.value);
    header.sequence = static_cast<int64_t>(sequence);
    return header;
  }

  /// Applies bytes as the next entry.
  ApplyStatus apply_bytes(std::string_view payload) {
    effects_.clear();
    ++index_;
    return machine_.apply(index_, term_, payload, effects_);
  }

  template <class Body>
  CommandResult run(const command::CommandHeader& header, const Body& body) {
    EXPECT_EQ(apply_bytes(encoder_.entry_of(header, body).view()), ApplyStatus::kApplied);
    return reply();
  }

  /// A command of a session, with nothing acknowledged.
  template <class Body>
  CommandResult run(command::CommandKind::type kind, SessionId session, uint64_t sequence,
                    const Body& body) {
    return run(header(kind, session, sequence), body);
  }

  /// The reply of the last entry.
  CommandResult reply() const {
    for (const Effect& effect : effects_) {
      if (effect.kind == EffectKind::kReply) return effect.result;
    }
    ADD_FAILURE() << "no reply";
    return {};
  }

  std::vector<Effect> effects(EffectKind kind) const {
    std::vector<Effect> found;
    for (const Effect& effect : effects_) {
      if (effect.kind == kind) found.push_back(effect);
    }
    return found;
  }

  CommandResult open(const std::string& name, int64_t ttl_ms = 10'000) {
    command::OpenSession body;
    body.secretHash = hash_of(name);
    body.ttlMs = ttl_ms;
    body.name = name;
    body.attributes = "attributes of " + name;
    return run(header(command::CommandKind::OPEN_SESSION), body);
  }
  SessionId opened(const std::string& name, int64_t ttl_ms = 10'000) {
    const CommandResult result = open(name, ttl_ms);
    EXPECT_EQ(result.code, ErrorCode::kOk) << result.message;
    return result.id;
  }

  CommandResult acquire(SessionId session, uint64_t sequence, const std::string& path,
                        int64_t wait_ms = -1) {
    return run(command::CommandKind::ACQUIRE, session, sequence, acquire_of(path, wait_ms));
  }
  CommandResult release(SessionId session, uint64_t sequence, const std::string& path,
                        Revision holder, Revision to = {}) {
    return run(command::CommandKind::RELEASE, session, sequence, release_of(path, holder, to));
  }
  CommandResult cancel(SessionId session, uint64_t sequence, const std::string& path,
                       uint64_t acquire_sequence) {
    command::CancelAcquire body;
    body.path = path;
    body.acquireSequence = static_cast<int64_t>(acquire_sequence);
    return run(command::CommandKind::CANCEL_ACQUIRE, session, sequence, body);
  }
  CommandResult close(SessionId session) {
    return run(command::CommandKind::CLOSE_SESSION, session, 0, command::CloseSession{});
  }
  CommandResult expire(const std::vector<SessionId>& sessions) {
    command::ExpireSessions body;
    for (const SessionId id : sessions) body.sessionIds.push_back(static_cast<int64_t>(id.value));
    return run(header(command::CommandKind::EXPIRE_SESSIONS), body);
  }
  CommandResult mark_late(SessionId session, int64_t silent_ms) {
    command::MarkLate body;
    body.sessions.emplace_back();
    body.sessions.back().sessionId = static_cast<int64_t>(session.value);
    body.sessions.back().silentMs = silent_ms;
    return run(header(command::CommandKind::MARK_LATE), body);
  }
  CommandResult renew_late(SessionId session) {
    command::RenewLate body;
    body.sessionIds = {static_cast<int64_t>(session.value)};
    return run(header(command::CommandKind::RENEW_LATE), body);
  }
  CommandResult revoke_session(SessionId session, int64_t notice_ms, bool force = false) {
    command::RevokeSession body;
    body.sessionId = static_cast<int64_t>(session.value);
    body.noticeMs = notice_ms;
    body.reason = "maintenance";
    body.force = force;
    return run(header(command::CommandKind::REVOKE_SESSION), body);
  }
  CommandResult revoke_lock(const std::string& path, int64_t notice_ms, bool force = false) {
    command::RevokeLock body;
    body.path = path;
    body.noticeMs = notice_ms;
    body.reason = "maintenance";
    body.force = force;
    return run(header(command::CommandKind::REVOKE_LOCK), body);
  }
  CommandResult acknowledge_notice(SessionId session, Revision notice) {
    command::AcknowledgeNotices body;
    body.noticeIds = {static_cast<int64_t>(notice.value)};
    return run(command::CommandKind::ACKNOWLEDGE_NOTICES, session, 0, body);
  }
  /// A tick by a leader that has applied everything so far.
  CommandResult tick() {
    command::Tick body;
    body.appliedRevision = static_cast<int64_t>(index_.value);
    return run(header(command::CommandKind::TICK), body);
  }
  CommandResult change(const std::map<std::string, int64_t>& changes) {
    command::ChangeSettings body;
    body.changes = changes;
    return run(header(command::CommandKind::CHANGE_SETTINGS), body);
  }

  /// Who holds the lock; zero if not exactly one does.
  SessionId holder(const std::string& path) const {
    const lockmgr::LockInfo info = machine_.locks().describe(path);
    return info.holders.size() == 1 ? info.holders[0].session : SessionId{};
  }

  size_t holder_count(const std::string& path) const {
    return machine_.locks().describe(path).holders.size();
  }
  static std::string path(uint64_t number) { return "/lock/" + std::to_string(number); }

  StateMachine machine_;
  CommandEncoder encoder_;
  Effects effects_;
  LogIndex index_;
  Term term_{2};
  int32_t level_ = kFeatureLevel;  ///< of the commands, and so in force
  int64_t now_ms_ = 1'000;
  int64_t request_ = 0;
};

/// The command's outcome in one word, for readable expectations.
MATCHER(IsGranted, "") {
  return arg.code == ErrorCode::kOk && arg.status == number(AcquireStatus::kGranted);
}
MATCHER(IsWaiting, "") {
  return arg.code == ErrorCode::kOk && arg.status == number(AcquireStatus::kWaiting);
}
MATCHER_P(IsNotGranted, reason, "") {
  return arg.code == ErrorCode::kOk && arg.status == number(AcquireStatus::kNotGranted) &&
         arg.reason == static_cast<int>(reason);
}
MATCHER_P(IsNotHeld, reason, "") {
  return arg.code == ErrorCode::kOk && arg.status == number(AcquireStatus::kNotHeld) &&
         arg.end_reason == static_cast<int>(reason);
}
MATCHER_P2(IsError, code, text, "") {
  *result_listener << error_code_name(arg.code) << ": " << arg.message;
  return arg.code == code && arg.message.find(text) != std::string::npos;
}

}  // namespace holdfast::rsm
