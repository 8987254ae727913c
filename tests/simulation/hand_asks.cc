// What a hand asks: reads, whose answers must be the state at the revision they name (I20), and
// what an operator does, without a session.
#include <algorithm>

#include "tests/simulation/hand.h"

namespace holdfast::sim {

namespace {

Revision revision_id(int64_t number) { return Revision(static_cast<uint64_t>(number)); }

}  // namespace

// -------------------------------------------------------------------------------------- reads

/// What the answer must show at least: of a linearizable read all that anybody was answered.
int64_t Hand::read_floor() const {
  return op_.local != 0 ? client_.last_revision() : client_.ledger().newest();
}

api::RequestContext Hand::read_context() const {
  api::RequestContext context;
  if (op_.local != 0) context.minRevision = client_.last_revision();
  return context;
}

void Hand::describe() {
  api::DescribeLockRequest request;
  request.path = path();
  request.consistency = op_.local != 0 ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
  client_.ask<api::DescribeLockRequest>(
      request, read_context(), 3s,
      [this, floor = read_floor(),
       asked = client_.world().now()](const Outcome<api::DescribeLockResult>& outcome) {
        const Duration took = client_.world().now() - asked;
        if (outcome.result != nullptr && op_.local == 0 &&
            took > from_ms(client_.world().weather().election_min_ms)) {
          client_.world().mark(Mark::kReadRetried);
        }
        if (outcome.result != nullptr) {
          client_.ledger().check_read(floor, outcome.result->header.revision,
                                      name_ + "'s description");
          if (op_.local != 0) client_.world().mark(Mark::kLocalRead);
          client_.note(outcome.result->header);
          judge(*outcome.result);
        }
        finish();
      });
}

/// The model that replays the log says what the lock was like at the revision of the answer.
void Hand::judge(const api::DescribeLockResult& result) const {
  const LockHistory::Version& was =
      client_.history().locks().at(result.lock.path, revision_id(result.header.revision));
  std::vector<std::pair<Revision, Revision>> holders;
  for (const api::LockHolder& holder : result.lock.holders) {
    holders.emplace_back(revision_id(holder.token), revision_id(holder.holderId));
  }
  std::sort(holders.begin(), holders.end());
  std::vector<Revision> waiters;
  for (const api::LockWaiter& waiter : result.lock.waiters) {
    waiters.push_back(revision_id(waiter.holderId));
  }
  if (holders == was.holders && waiters == was.waiters) return;
  throw Broken(Rule::kI20, name_ + " was shown " + result.lock.path + " at revision " +
                               std::to_string(result.header.revision) + " with " +
                               std::to_string(holders.size()) + " holders and " +
                               std::to_string(waiters.size()) + " waiters; the log says " +
                               std::to_string(was.holders.size()) + " and " +
                               std::to_string(was.waiters.size()) + ", or others");
}

void Hand::check_token() {
  api::CheckTokenRequest request;
  request.path = path();
  request.token = std::max<int64_t>(1, client_.last_revision() - op_.permits);
  request.consistency = op_.local != 0 ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
  client_.ask<api::CheckTokenRequest>(
      request, read_context(), 3s,
      [this, request, floor = read_floor()](const Outcome<api::CheckTokenResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        const api::CheckTokenResult& result = *outcome.result;
        client_.ledger().check_read(floor, result.header.revision, name_ + "'s checkToken");
        client_.note(result.header);
        const LockHistory::Version& was =
            client_.history().locks().at(request.path, revision_id(result.header.revision));
        const Revision token = revision_id(request.token);
        const bool current = std::any_of(was.holders.begin(), was.holders.end(),
                                         [&](const auto& holder) { return holder.first == token; });
        const Revision latest = was.holders.empty() ? Revision{} : was.holders.back().first;
        if (!result.current) client_.world().mark(Mark::kStaleToken);
        if (result.current != current || revision_id(result.latestToken) != latest) {
          throw Broken(Rule::kI20, name_ + " was told of token " + std::to_string(request.token) +
                                       " of " + request.path + " what is not so at revision " +
                                       std::to_string(result.header.revision));
        }
        finish();
      });
}

void Hand::list() {
  api::ListLocksRequest request;
  request.consistency = op_.local != 0 ? api::Consistency::LOCAL : api::Consistency::LINEARIZABLE;
  client_.ask<api::ListLocksRequest>(
      request, read_context(), 3s,
      [this, floor = read_floor()](const Outcome<api::ListLocksResult>& outcome) {
        if (outcome.result == nullptr) return finish();
        const int64_t revision = outcome.result->header.revision;
        client_.ledger().check_read(floor, revision, name_ + "'s list");
        client_.note(outcome.result->header);
        // A lock that only a lock-delay keeps is listed too.
        std::vector<std::string> listed;
        for (const api::LockSummary& lock : outcome.result->locks) {
          if (lock.holderCount + lock.waiterCount > 0) listed.push_back(lock.path);
        }
        if (listed != client_.history().locks().present(revision_id(revision))) {
          throw Broken(Rule::kI20, name_ + " was given a list of locks that is not that of " +
                                       std::to_string(revision));
        }
        finish();
      });
}

// ----------------------------------------------------------------------------------- operator

std::string Hand::new_reason() {
  return name_ + "#" + std::to_string(client_.session().value) + "#" + std::to_string(++reasons_);
}

/// Once: what is lost without a session is OUTCOME_UNKNOWN, and another copy would be another
/// command.
template <class Request>
void Hand::administrate(const Request& request, const std::string& reason) {
  tell(sim::describe(op_));
  api::RequestContext context;
  context.deadlineMs = client_.world().weather().election_max_ms;
  client_.ask<Request>(request, context, from_ms(context.deadlineMs) + 1s,
                       [this, reason](const Outcome<ResultOf<Request>>& outcome) {
                         if (outcome.result != nullptr) client_.note(outcome.result->header);
                         if (outcome.error != nullptr) {
                           const api::HoldfastError& error = *outcome.error;
                           if (error.code == api::ErrorCode::OUTCOME_UNKNOWN) {
                             client_.world().mark(Mark::kOutcomeUnknown);
                           }
                           // An error that apply decided is in the log, and changed nothing.
                           const bool refused =
                               error.applied == api::Applied::NO && error.retryable;
                           if (refused) client_.world().mark(Mark::kNotApplied);
                           if (refused && !reason.empty()) client_.history().forbid(reason);
                         }
                         finish();
                       });
}

void Hand::revoke() {
  api::RevokeLockRequest request;
  request.path = path();
  request.noticeMs = op_.notice_ms;
  request.force = op_.force != 0;
  request.reason = new_reason();
  administrate(request, request.reason);
}

void Hand::expire() {
  const SessionId target = client_.session_of(op_.target);
  if (!target) return finish();
  api::ExpireSessionRequest request;
  request.sessionId = static_cast<int64_t>(target.value);
  request.noticeMs = op_.notice_ms;
  request.force = op_.force != 0;
  request.reason = new_reason();
  administrate(request, request.reason);
}

void Hand::change_setting() {
  api::SettingsRequest request;
  static constexpr std::pair<const char*, int64_t> kSettings[] = {
      {"tenures_kept", 1},     {"waiters_per_lock_max", 3}, {"tenures_kept", 1},
      {"keys_max", 4},         {"key_bytes_max", 1'000},    {"ephemerals_per_session_max", 1},
      {"value_bytes_max", 10},
  };
  const auto& [name, least] = kSettings[static_cast<size_t>(op_.path) % std::size(kSettings)];
  request.changes[name] = least + op_.value;
  administrate(request, {});
}

/// Names a holder id that is not its own: nothing may change (I13).
void Hand::stray() {
  api::DescribeLockRequest request;
  request.path = path();
  client_.ask<api::DescribeLockRequest>(
      request, client_.context(0), 3s, [this](const Outcome<api::DescribeLockResult>& outcome) {
        const auto own = static_cast<int64_t>(client_.session().value);
        if (outcome.result != nullptr) {
          for (const api::LockHolder& holder : outcome.result->lock.holders) {
            if (holder.sessionId != own) return stray_with(holder.holderId);
          }
        }
        finish();
      });
}

void Hand::stray_with(int64_t holder_id) {
  const int64_t sequence = client_.next_sequence();
  const auto copies = std::make_shared<Copies>();
  const auto end = [this, sequence] {
    client_.done(sequence);
    finish();
  };
  if (op_.force != 0) {
    api::SetHolderValueRequest request;
    request.path = path();
    request.holderId = holder_id;
    request.value = "stray";
    return client_.command<api::SetHolderValueRequest>(
        request, sequence, false, copies,
        [end](const Outcome<api::SetHolderValueResult>&) { end(); });
  }
  api::ReleaseRequest request;
  request.path = path();
  request.holderId = holder_id;
  client_.command<api::ReleaseRequest>(request, sequence, false, copies,
                                       [end](const Outcome<api::ReleaseResult>&) { end(); });
}

}  // namespace holdfast::sim
