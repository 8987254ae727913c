// Random entries for the state machine: sessions, locks and keys of all kinds, retries, wrong
// values, time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "coordinator/rsm/command_codec.h"

namespace holdfast::rsm {

/// Deterministic by its seed. Session ids are guessed from the entries written so far, so that most
/// commands meet a session and some do not.
class Workload {
 public:
  explicit Workload(uint64_t seed) : random_(seed) {}

  /// The next entry's payload, to be applied at `index` in term `term`.
  std::string next(uint64_t index, uint64_t term) {
    if (!sent_.empty() && chance(10)) return sent_[below(sent_.size())];  // a late copy
    const std::string payload = make(index, term);
    if (sent_.size() < 64) {
      sent_.push_back(payload);
    } else {
      sent_[below(64)] = payload;
    }
    return payload;
  }

  uint64_t below(uint64_t bound) { return random_.below(bound); }
  bool chance(uint64_t percent) { return below(100) < percent; }

 private:
  using Kind = command::CommandKind;

  std::string make(uint64_t index, uint64_t term) {
    if (chance(30)) now_ms_ += static_cast<int64_t>(below(400));
    command::CommandHeader header;
    header.level = kFeatureLevel;
    header.originNode = 1 + static_cast<int32_t>(below(3));
    header.originRequest = static_cast<int64_t>(below(1'000));
    header.clusterTimeMs = now_ms_;
    header.wallUnixMs = 1'700'000'000'000 + now_ms_;
    header.decidedTerm = static_cast<int64_t>(chance(85) ? term : term - 1);
    if (opened_.size() < 4 || chance(4)) return open(header, index);
    if (below(700) == 0) return restore(header);
    if (chance(25)) return of_keys(header);
    return chance(75) ? of_session(header) : of_leader(header, index);
  }

  std::string open(command::CommandHeader& header, uint64_t index) {
    header.kind = Kind::OPEN_SESSION;
    command::OpenSession body;
    body.secretHash = std::string(32, static_cast<char>('a' + below(12)));
    body.ttlMs = chance(90) ? 5'000 : static_cast<int64_t>(below(5'000));
    body.name = "s" + std::to_string(below(100));
    body.attributes = std::string(below(60), 'x');
    opened_.push_back(static_cast<int64_t>(index));
    if (opened_.size() > 12) opened_.erase(opened_.begin());
    return entry(header, body);
  }

  std::string restore(command::CommandHeader& header) {
    header.kind = Kind::RESTORE;
    command::Restore body;
    body.holdMs = static_cast<int64_t>(below(8'000)) - 1;
    return entry(header, body);
  }

  std::string of_session(command::CommandHeader& header) {
    header.sessionId = session();
    header.sequence = sequence_ += static_cast<int64_t>(below(3));
    if (chance(40)) acknowledge(header);
    switch (below(12)) {
      case 0:
        header.kind = Kind::CANCEL_ACQUIRE;
        return entry(header, cancel());
      case 1:
        header.kind = Kind::SET_HOLDER_VALUE;
        return entry(header, value());
      case 2:
        header.kind = Kind::RELEASE_ALL;
        return entry(header, release_all());
      case 3:
      case 4:
        header.kind = Kind::ACQUIRE_ALL;
        return entry(header, acquire_all());
      case 5:
      case 6:
      case 7:
        header.kind = Kind::RELEASE;
        return entry(header, release());
      default:
        header.kind = Kind::ACQUIRE;
        return entry(header, acquire());
    }
  }

  std::string of_keys(command::CommandHeader& header) {
    if (chance(70)) {
      header.sessionId = session();
      header.sequence = sequence_ += static_cast<int64_t>(below(3));
    }
    switch (below(8)) {
      case 0:
        header.kind = Kind::REMOVE_KEY;
        return entry(header, remove_key());
      case 1:
        header.kind = Kind::TRANSACT;
        return entry(header, transact());
      case 2:
      case 3:
      case 4:
        header.kind = Kind::CREATE_KEY;
        return entry(header, create_key());
      default:
        header.kind = Kind::PUT_KEY;
        return entry(header, put_key());
    }
  }

  std::string of_leader(command::CommandHeader& header, uint64_t index) {
    switch (below(10)) {
      case 0:
        header.kind = Kind::EXPIRE_SESSIONS;
        return entry(header, expire());
      case 1:
        header.kind = Kind::MARK_LATE;
        return entry(header, late());
      case 2:
        header.kind = Kind::RENEW_LATE;
        return entry(header, renew());
      case 3:
        header.kind = Kind::REVOKE_LOCK;
        return entry(header, revoke_lock());
      case 4:
        header.kind = Kind::REVOKE_SESSION;
        return entry(header, revoke_session());
      case 5:
        header.kind = Kind::ACKNOWLEDGE_NOTICES;
        header.sessionId = session();
        return entry(header, acknowledge_notices(index));
      case 6:
        header.kind = Kind::CHANGE_SETTINGS;
        return entry(header, settings());
      case 7:
        header.kind = Kind::CLOSE_SESSION;
        header.sessionId = session();
        return entry(header, command::CloseSession{});
      default:
        header.kind = Kind::TICK;
        return entry(header, tick(index));
    }
  }

  void acknowledge(command::CommandHeader& header) {
    header.acknowledged.emplace_back();
    const int64_t first = std::max<int64_t>(1, sequence_ - static_cast<int64_t>(below(40)));
    header.acknowledged.back().first = first;
    header.acknowledged.back().last = first + static_cast<int64_t>(below(10));
  }
  command::Guard guard() {
    command::Guard guard;
    if (!chance(15)) return guard;
    guard.path = path();
    guard.holderId = revision();
    return guard;
  }
  command::PutKey put_key() {
    command::PutKey body;
    body.path = key_path();
    body.value = std::string(below(chance(5) ? 2'000 : 30), 'k');
    body.expectedVersion = chance(70) ? 0 : static_cast<int64_t>(below(5)) - 1;
    body.makeParents = chance(30);
    body.guard = guard();
    return body;
  }
  command::CreateKey create_key() {
    command::CreateKey body;
    body.path = key_path();
    body.kind = static_cast<api::KeyKind::type>(chance(97) ? 1 + below(4) : 9);
    body.sequential = chance(30);
    if (body.kind == api::KeyKind::TTL) body.ttlMs = 900 + static_cast<int64_t>(below(900));
    body.makeParents = chance(30);
    body.guard = guard();
    return body;
  }
  command::RemoveKey remove_key() {
    command::RemoveKey body;
    body.path = key_path();
    body.expectedVersion = chance(80) ? 0 : static_cast<int64_t>(below(4));
    body.recursive = chance(50);
    body.guard = guard();
    return body;
  }
  command::Transact transact() {
    command::Transact body;
    if (chance(70)) {
      body.compares.emplace_back();
      command::KeyCompare& compare = body.compares.back();
      compare.target = static_cast<api::CompareTarget::type>(1 + below(chance(95) ? 6 : 9));
      compare.relation = static_cast<api::CompareRelation::type>(1 + below(4));
      compare.path = compare.target == api::CompareTarget::HOLDS ? path() : key_path();
      compare.number = chance(50) ? static_cast<int64_t>(below(4)) : revision();
    }
    for (auto* operations : {&body.thenOperations, &body.otherwiseOperations}) {
      for (uint64_t i = below(4); i > 0; --i) {
        operations->emplace_back();
        if (chance(50))
          operations->back().__set_put(put_key());
        else if (chance(60))
          operations->back().__set_create(create_key());
        else if (chance(90))
          operations->back().__set_remove(remove_key());
      }
    }
    return body;
  }
  std::string key_path() {
    if (chance(2)) return "no path";
    std::string path;
    for (uint64_t depth = 1 + below(3); depth > 0; --depth) {
      path += "/" + std::string(1, static_cast<char>('a' + below(3)));
    }
    return path;
  }
  command::LockClaim claim() {
    command::LockClaim claim;
    claim.path = path();
    claim.mode = static_cast<api::LockMode::type>(chance(95) ? 1 + below(3) : 9);
    if (claim.mode == api::LockMode::SEMAPHORE) {
      claim.limit = 3;
      claim.permits = 1 + static_cast<int32_t>(below(4));
      claim.path += "/semaphore";
    }
    return claim;
  }
  template <class Body>
  void fill(Body& body) {
    body.waitMs = chance(30) ? 0 : chance(50) ? -1 : static_cast<int64_t>(below(900));
    body.value = std::string(below(20), 'v');
    body.lockDelayMs = chance(20) ? 300 : 0;
    body.maxQueue = chance(10) ? 2 : 0;
    body.owner = chance(20) ? "h1" : "";
  }
  command::Acquire acquire() {
    command::Acquire body;
    body.claim = claim();
    fill(body);
    return body;
  }
  command::AcquireAll acquire_all() {
    command::AcquireAll body;
    const uint64_t count = 1 + below(3);
    for (uint64_t i = 0; i < count; ++i) body.claims.push_back(claim());
    fill(body);
    return body;
  }
  command::CancelAcquire cancel() {
    command::CancelAcquire body;
    body.path = path();
    body.acquireSequence = sequence_ - static_cast<int64_t>(below(30));
    return body;
  }
  command::Release release() {
    command::Release body;
    body.path = path();
    body.holderId = revision();
    if (chance(15)) body.to = revision();
    return body;
  }
  command::ReleaseAll release_all() {
    command::ReleaseAll body;
    body.holderId = revision();
    return body;
  }
  command::SetHolderValue value() {
    command::SetHolderValue body;
    body.path = path();
    body.holderId = revision();
    body.value = "new";
    return body;
  }
  command::ExpireSessions expire() {
    command::ExpireSessions body;
    body.sessionIds = {session(), session()};
    return body;
  }
  command::MarkLate late() {
    command::MarkLate body;
    body.sessions.resize(1 + below(2));
    for (command::LateSession& one : body.sessions) {
      one.sessionId = session();
      one.silentMs = static_cast<int64_t>(below(5'000)) - 50;
    }
    return body;
  }
  command::RenewLate renew() {
    command::RenewLate body;
    body.sessionIds = {session()};
    return body;
  }
  command::RevokeLock revoke_lock() {
    command::RevokeLock body;
    body.path = path();
    body.noticeMs = static_cast<int64_t>(below(800));
    body.reason = "why";
    body.force = chance(30);
    return body;
  }
  command::RevokeSession revoke_session() {
    command::RevokeSession body;
    body.sessionId = session();
    body.noticeMs = static_cast<int64_t>(below(800));
    body.reason = "because";
    body.force = chance(30);
    return body;
  }
  command::AcknowledgeNotices acknowledge_notices(uint64_t index) {
    command::AcknowledgeNotices body;
    for (uint64_t back = 1; back < 30 && back < index; ++back) {
      body.noticeIds.push_back(static_cast<int64_t>(index - back));
    }
    return body;
  }
  command::ChangeSettings settings() {
    command::ChangeSettings body;
    body.changes["tenures_kept"] = 1 + static_cast<int64_t>(below(30));
    body.changes["result_window"] = 16 + static_cast<int64_t>(below(8));
    if (chance(20)) body.changes["no such setting"] = 1;
    // Refused but for a hold that is longer.
    if (chance(20)) {
      body.changes["restore_hold_until_ms"] = now_ms_ + static_cast<int64_t>(below(4'000));
    }
    return body;
  }
  command::Tick tick(uint64_t index) {
    command::Tick body;
    body.appliedRevision = static_cast<int64_t>(index - std::min<uint64_t>(index, below(4)));
    return body;
  }

  template <class Body>
  std::string entry(const command::CommandHeader& header, const Body& body) {
    const std::string whole(encoder_.entry_of(header, body).view());
    if (!chance(2)) return whole;
    // A body that leaves every field out.
    return std::string(encoder_.entry(header, std::string_view("\0", 1)).view());
  }

  int64_t session() { return opened_[below(opened_.size())]; }
  int64_t revision() {
    // Acquires that may hold something: any entry of late.
    const auto last = static_cast<uint64_t>(opened_.back());
    return static_cast<int64_t>(1 + last + below(60)) - 20;
  }
  std::string path() { return chance(97) ? "/p/" + std::to_string(below(6)) : "no path"; }

  SplitMix random_;
  CommandEncoder encoder_;
  std::vector<std::string> sent_;
  std::vector<int64_t> opened_;
  int64_t sequence_ = 1;
  int64_t now_ms_ = 1'000;
};

}  // namespace holdfast::rsm
