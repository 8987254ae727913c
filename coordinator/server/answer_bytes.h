// What an answer keeps of memory beside its struct, roughly: of those that may be large. One that
// is small is bounded by the number of calls that may be outstanding.
#pragma once

#include <cstddef>

#include "coordinator/server/watch_codec.h"
#include "gen/cpp/holdfast_types.h"
#include "gen/cpp/keys_types.h"

namespace holdfast::server {

inline size_t answer_bytes(const api::KeyEntry& key) { return key.path.size() + key.value.size(); }
inline size_t answer_bytes(const api::KeyLookup& lookup) { return answer_bytes(lookup.key); }
inline size_t answer_bytes(const api::LockHolder& holder) {
  return sizeof holder + holder.sessionName.size() + holder.owner.size() + holder.value.size();
}
inline size_t answer_bytes(const api::LockWaiter& waiter) {
  return sizeof waiter + waiter.sessionName.size() + waiter.owner.size();
}
inline size_t answer_bytes(const api::Tenure& tenure) {
  return sizeof tenure + tenure.sessionName.size() + tenure.owner.size() + tenure.note.size();
}
inline size_t answer_bytes(const api::OperationResult& step) {
  return sizeof step + step.path.size();
}
inline size_t answer_bytes(const api::LockSummary& lock) {
  size_t sum = sizeof lock + lock.path.size();
  for (const api::LockHolder& holder : lock.holders) sum += answer_bytes(holder);
  return sum;
}
inline size_t answer_bytes(const api::RevocationNotice& notice) {
  return sizeof notice + notice.path.size() + notice.reason.size();
}

template <class Item>
size_t answer_bytes(const std::vector<Item>& items) {
  size_t sum = 0;
  for (const Item& item : items) sum += answer_bytes(item);
  return sum;
}

/// Of a refusal that names a path, and of a key that was made.
inline size_t answer_bytes(const api::HoldfastError& error) { return error.message.size(); }
inline size_t answer_bytes(const api::CreateResult& result) { return result.path.size(); }
/// Who has to wait, or did not want to, is told of the holders.
inline size_t answer_bytes(const api::AcquireResult& result) {
  return answer_bytes(result.holders);
}
inline size_t answer_bytes(const api::TransactResult& result) {
  return answer_bytes(result.results);
}
inline size_t answer_bytes(const api::GetResult& result) { return answer_bytes(result.key); }
inline size_t answer_bytes(const api::GetManyResult& result) { return answer_bytes(result.keys); }
inline size_t answer_bytes(const api::ListKeysResult& result) { return answer_bytes(result.keys); }
inline size_t answer_bytes(const api::ListLocksResult& result) {
  return answer_bytes(result.locks);
}
inline size_t answer_bytes(const api::WaitForChangeResult& result) {
  return answer_bytes(result.key);
}
inline size_t answer_bytes(const api::KeepAliveResult& result) {
  return answer_bytes(result.revocations);
}
/// Events are the history's: a reply shares their memory.
inline size_t answer_bytes(const PollReply& reply) { return answer_bytes(reply.head.revocations); }

inline size_t answer_bytes(const api::DescribeLockResult& result) {
  return answer_bytes(result.lock.holders) + answer_bytes(result.lock.waiters) +
         answer_bytes(result.lock.tenures);
}

template <class Small>
size_t answer_bytes(const Small&) {
  return 0;
}

}  // namespace holdfast::server
