#include "coordinator/server/waits.h"

#include <algorithm>

#include "coordinator/server/api_views.h"
#include "lockmgr/lock_table.h"
#include "session/session_table.h"

namespace holdfast::server {

void answer_acquire(Host& host, CallId call, Sequence sequence, std::string_view path,
                    const rsm::CommandResult& result) {
  const auto number = static_cast<int64_t>(sequence.value);
  if (result.code != ErrorCode::kOk) return host.fail(call, refusal_of(result), number);
  api::AcquireResult reply;
  host.fill(reply.header, number);
  reply.status = static_cast<api::AcquireStatus::type>(result.status);
  reply.reason = static_cast<api::RefusalReason::type>(result.reason);
  reply.holderId = static_cast<int64_t>(result.id.value);
  reply.token = static_cast<int64_t>(result.token.value);
  reply.position = static_cast<int32_t>(result.position);
  reply.endReason = static_cast<api::EndReason::type>(result.end_reason);
  const bool shows_holders = reply.status == api::AcquireStatus::WAITING ||
                             reply.status == api::AcquireStatus::NOT_GRANTED;
  if (shows_holders) {
    lockmgr::DescribeLimits limits{kHoldersOfRefusal, 0, 0};
    const lockmgr::LockInfo lock = host.machine.locks().describe(path, limits);
    for (const lockmgr::HolderInfo& holder : lock.holders) {
      reply.holders.push_back(api_holder(holder, /*lease_left_ms=*/-1));
    }
  }
  host.complete(call, &reply);
}

bool Waits::park(CallId call, SessionId session, Sequence sequence, Instant until) {
  const session::Session* s = host_.machine.sessions().find(session);
  if (s == nullptr) return false;
  const Key key{session, sequence};
  const auto earlier = parked_.find(key);
  if (earlier != parked_.end()) answer_waiting(key, take(earlier).call);
  if (!host_.may_park()) return false;
  ++host_.parked;
  const auto at = parked_.try_emplace(key).first;
  const int64_t limit_ms = std::min<int64_t>(s->ttl_ms / 4, 60'000);
  at->second = {call, std::min(until, host_.clock.now() + from_ms(limit_ms)), ++next_number_};
  numbers_.emplace(next_number_, key);
  deadlines_.add(next_number_, at->second.until);
  return true;
}

Waits::Parked Waits::take(Map::iterator at) {
  const Parked done = at->second;
  numbers_.erase(done.number);
  parked_.erase(at);
  --host_.parked;
  return done;
}

void Waits::on_effect(const rsm::Effect& effect) {
  if (parked_.empty()) return;
  if (effect.kind == rsm::EffectKind::kSessionEnded) return end_session(effect.session);
  const bool ends =
      effect.kind == rsm::EffectKind::kGranted || effect.kind == rsm::EffectKind::kWaitEnded;
  if (!ends) return;
  const auto at = parked_.find({effect.session, effect.sequence});
  if (at != parked_.end()) end(at, effect.result, effect.path);
}

void Waits::end(Map::iterator at, const rsm::CommandResult& result, std::string_view path) {
  const Sequence sequence = at->first.second;
  answer_acquire(host_, take(at).call, sequence, path, result);
}

void Waits::end_session(SessionId session) {
  auto at = parked_.lower_bound({session, Sequence{}});
  while (at != parked_.end() && at->first.first == session) {
    const auto next = std::next(at);
    const Sequence sequence = at->first.second;
    fail_ended(session, sequence, take(at).call);
    at = next;
  }
}

// The acquire was applied, and had a place in the queue: it is not so that it changed nothing.
void Waits::fail_ended(SessionId session, Sequence sequence, CallId call) {
  host_.fail(call,
             {ErrorCode::kSessionExpired, "session " + std::to_string(session.value) + " has ended",
              /*maybe_applied=*/true,
              /*retryable=*/false, 0},
             static_cast<int64_t>(sequence.value));
}

void Waits::answer_waiting(const Key& key, CallId call) {
  const auto result = host_.machine.lookup(key.first, key.second);
  if (!result) return fail_ended(key.first, key.second, call);
  const auto place = host_.machine.locks().find(key.first, key.second);
  answer_acquire(host_, call, key.second, place ? place->path : std::string_view{}, *result);
}

void Waits::sweep(Instant now) {
  deadlines_.take_due(now, [&](uint64_t number) {
    const auto named = numbers_.find(number);
    if (named == numbers_.end()) return;
    const Key key = named->second;
    answer_waiting(key, take(parked_.find(key)).call);
  });
}

void Waits::shut_down() {
  const Map all = std::move(parked_);
  parked_.clear();
  numbers_.clear();
  host_.parked -= all.size();
  for (const auto& [key, parked] : all) {
    host_.fail(
        parked.call,
        {ErrorCode::kShuttingDown,
         "this server is stopping; the place in the queue stays: repeat on another", true, true, 0},
        static_cast<int64_t>(key.second.value));
  }
}

}  // namespace holdfast::server
