// What operators look at: one lock, pages of locks and of sessions. Read twice on a server that
// does not lead: first for the sessions whose leases are to be asked for, then, with the leader's
// word, for the answer.
#include <algorithm>

#include "coordinator/server/api_views.h"
#include "coordinator/server/engine_calls.h"
#include "gen/cpp/command_types.tcc"
#include "lockmgr/lock_table.h"

namespace holdfast::server {

namespace {

/// What an entry takes beside its texts.
constexpr size_t kEntryBytes = 96;
/// Of all holders of a lock that is described: with a thousand waiters' names it is below what a
/// client takes in a frame, 8 MiB. One that waits for the lock would lose its connection else.
constexpr size_t kHoldersBytesMax = 5 << 20;

std::map<std::string, std::string> decode_attributes(const std::string& encoded) {
  if (encoded.empty()) return {};
  auto transport = std::make_shared<FrameReader>();
  transport->reset(encoded);
  apache::thrift::protocol::TCompactProtocolT<FrameReader> in(transport);
  command::SessionAttributes attributes;
  try {
    attributes.read(&in);
  } catch (const apache::thrift::TException&) {
    return {};  // written by a client that was not this API's: shown as none
  }
  return attributes.values;
}

size_t bytes_of(const lockmgr::HolderInfo& holder) {
  return kEntryBytes + holder.session_name.size() + holder.owner.size() + holder.value.size();
}

size_t bytes_of(const lockmgr::LockInfo& lock) {
  size_t bytes = kEntryBytes + lock.path.size();
  for (const lockmgr::HolderInfo& holder : lock.holders) bytes += bytes_of(holder);
  return bytes;
}

lockmgr::LockInfo described(const lockmgr::LockTable& locks, const std::string& path) {
  lockmgr::LockInfo lock = locks.describe(path);
  size_t bytes = 0;
  const auto end = std::ranges::find_if(lock.holders, [&bytes](const auto& holder) {
    bytes += bytes_of(holder);
    return bytes > kHoldersBytesMax;
  });
  lock.holders.erase(end, lock.holders.end());
  return lock;
}

size_t bytes_of(const session::Session* session) {
  return kEntryBytes + session->name.size() + session->attributes.size();
}

/// Cuts a page to kPageBytesMax, but not below one entry. True: there may be more to list.
template <class Entry>
bool cut_page(std::vector<Entry>& page, size_t asked) {
  size_t bytes = 0;
  const auto end = std::find_if(page.begin(), page.end(), [&bytes](const Entry& entry) {
    bytes += bytes_of(entry);
    return bytes > kPageBytesMax;
  });
  const auto kept = std::max<ptrdiff_t>(end - page.begin(), page.empty() ? 0 : 1);
  const bool more = page.size() == asked || kept < std::ssize(page);
  page.erase(page.begin() + kept, page.end());
  return more;
}

api::LockSummary api_summary(const lockmgr::LockInfo& lock, const LeaseLeft& lease_left) {
  api::LockSummary summary;
  summary.path.assign(lock.path);
  summary.holderCount = static_cast<int32_t>(lock.holder_count);
  summary.waiterCount = static_cast<int32_t>(lock.waiter_count);
  for (const lockmgr::HolderInfo& holder : lock.holders) {
    summary.holders.push_back(api_holder(holder, lease_left(holder.session)));
  }
  return summary;
}

api::SessionInfo api_session(const session::Session& s, const lockmgr::LockTable& locks,
                             int64_t lease_left_ms) {
  api::SessionInfo info;
  info.sessionId = static_cast<int64_t>(s.id.value);
  info.name = s.name;
  info.attributes = decode_attributes(s.attributes);
  info.ttlMs = s.ttl_ms;
  info.leaseLeftMs = lease_left_ms;
  info.openedUnixMs = s.opened_unix_ms;
  info.locks = static_cast<int32_t>(locks.held_by(s.id));
  info.places = static_cast<int32_t>(locks.places_of(s.id)) - info.locks;
  info.late = s.late;
  return info;
}

}  // namespace

void Engine::read_leases(CallId call, const api::RequestContext& context,
                         api::Consistency::type consistency, size_t bytes,
                         std::function<std::vector<SessionId>()> sessions,
                         LeaseQueries::Answer answer) {
  const bool may_ask = consistency != api::Consistency::LOCAL;
  read(call, context, consistency, bytes,
       [this, may_ask, deadline = deadline_of(context), sessions = std::move(sessions),
        answer = std::move(answer)] {
         if (!may_ask || host_.serving) return answer(lease_queries_.here());
         lease_queries_.ask(sessions(), deadline, answer);
       });
}

void Engine::describe_lock(CallId call, const api::RequestContext& context,
                           const api::DescribeLockRequest& request) {
  if (!good_path(call, context, request.path)) return;
  const auto sessions = [this, path = request.path] {
    const lockmgr::LockInfo lock = described(machine_.locks(), path);
    std::vector<SessionId> ids;
    for (const lockmgr::HolderInfo& holder : lock.holders) ids.push_back(holder.session);
    for (const lockmgr::WaiterInfo& waiter : lock.waiters) ids.push_back(waiter.session);
    return ids;
  };
  read_leases(
      call, context, request.consistency, 2 * request.path.size(), sessions,
      [this, call, sequence = context.sequence, path = request.path](const LeaderView& view) {
        api::DescribeLockResult reply;
        host_.fill(reply.header, sequence);
        reply.lock = api_lock(described(machine_.locks(), path), view, held_until_ms());
        reply.lock.path = path;
        host_.complete(call, &reply);
      });
}

void Engine::list_locks(CallId call, const api::RequestContext& context,
                        const api::ListLocksRequest& request) {
  const int32_t size = page_size(request.pageSize);
  if (size < 1 || size > kPageSizeMax) {
    return bad_argument(call, context,
                        "pageSize is " + std::to_string(size) + ", it must be from 1 to " +
                            std::to_string(kPageSizeMax));
  }
  if (refuse(call, context, check_prefix(request.prefix))) return;
  if (!request.page.empty() && !good_path(call, context, request.page)) return;
  const auto list = [this, size = static_cast<size_t>(size), prefix = request.prefix,
                     page = request.page](std::vector<lockmgr::LockInfo>& locks) {
    machine_.locks().list(prefix, page, size, kHoldersOfRefusal, locks);
    return cut_page(locks, size);
  };
  const auto sessions = [list] {
    std::vector<lockmgr::LockInfo> locks;
    list(locks);
    std::vector<SessionId> ids;
    for (const lockmgr::LockInfo& lock : locks) {
      for (const lockmgr::HolderInfo& holder : lock.holders) ids.push_back(holder.session);
    }
    return ids;
  };
  const size_t bytes = 2 * (request.prefix.size() + request.page.size());
  read_leases(call, context, request.consistency, bytes, sessions,
              [this, call, list, sequence = context.sequence](const LeaderView& view) {
                api::ListLocksResult reply;
                host_.fill(reply.header, sequence);
                std::vector<lockmgr::LockInfo> locks;
                const bool more = list(locks);
                for (const lockmgr::LockInfo& lock : locks) {
                  reply.locks.push_back(api_summary(lock, view.lease_left));
                }
                if (more) reply.nextPage = reply.locks.back().path;
                host_.complete(call, &reply);
              });
}

void Engine::list_sessions(CallId call, const api::RequestContext& context,
                           const api::ListSessionsRequest& request) {
  const int32_t size = page_size(request.pageSize);
  if (refuse(call, context, check_number("pageSize", size, 1, kPageSizeMax))) return;
  if (refuse(call, context, check_number("page", request.page, 0))) return;
  const auto list = [this, size = static_cast<size_t>(size),
                     after = SessionId(static_cast<uint64_t>(request.page))](
                        std::vector<const session::Session*>& sessions) {
    machine_.sessions().list(after, size, sessions);
    return cut_page(sessions, size);
  };
  const auto sessions = [list] {
    std::vector<const session::Session*> listed;
    list(listed);
    std::vector<SessionId> ids;
    for (const session::Session* s : listed) ids.push_back(s->id);
    return ids;
  };
  read_leases(
      call, context, request.consistency, /*bytes=*/0, sessions,
      [this, call, list, sequence = context.sequence](const LeaderView& view) {
        api::ListSessionsResult reply;
        host_.fill(reply.header, sequence);
        std::vector<const session::Session*> listed;
        const bool more = list(listed);
        for (const session::Session* s : listed) {
          reply.sessions.push_back(api_session(*s, machine_.locks(), view.lease_left(s->id)));
        }
        if (more) reply.nextPage = reply.sessions.back().sessionId;
        host_.complete(call, &reply);
      });
}

void Engine::list_watches(CallId call, const api::RequestContext& context,
                          const api::ListWatchesRequest& request) {
  const int32_t size = page_size(request.pageSize);
  if (refuse(call, context, check_number("pageSize", size, 1, kPageSizeMax))) return;
  if (refuse(call, context, check_number("page", request.page, 0))) return;
  // They are this server's alone, so no quorum need be asked.
  read(call, context, api::Consistency::LOCAL, /*bytes=*/0,
       [this, call, sequence = context.sequence, place = static_cast<uint64_t>(request.page),
        size = static_cast<size_t>(size)] {
         api::ListWatchesResult reply = hub_.list(place, size, kPageBytesMax);
         host_.fill(reply.header, sequence);
         for (api::WatchInfo& info : reply.watches) {
           const auto* session =
               machine_.sessions().find(SessionId(static_cast<uint64_t>(info.sessionId)));
           if (session != nullptr) info.sessionName = session->name;
         }
         host_.complete(call, &reply);
       });
}

}  // namespace holdfast::server
