// What is left of sessions' leases, and what cluster time it is, for views on servers that do not
// lead: only the leader knows, so it is asked, once a turn for all views together. A hint for
// operators: nothing rests on it, and whoever cannot learn it in time goes without. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "coordinator/server/api_views.h"
#include "coordinator/server/deadlines.h"
#include "coordinator/server/host.h"
#include "coordinator/server/peer_codec.h"

namespace holdfast::server {

class LeaseQueries {
 public:
  /// Called exactly once, with what is known of the sessions that were asked for.
  using Answer = std::function<void(const LeaderView&)>;

  /// The longest that a view waits for the leader.
  static constexpr Duration kWait = 500ms;
  /// Sessions of one message (180 KB at most). No page of the API shows more.
  static constexpr size_t kSessionsPerQuery = 20'000;
  /// Sessions of all views that wait here, and one for each view; a view beyond goes without.
  static constexpr size_t kSessionsWaiting = 10 * kSessionsPerQuery;

  /// `own` is what this server knows itself while it leads.
  LeaseQueries(Host& host, PeerCodec& codec, LeaseLeft own);

  /// Answers when the leader has, or at `deadline`, or after kWait, whichever comes first; at once
  /// if this server leads or there is no room. A session may stand in `sessions` more than once.
  void ask(std::vector<SessionId> sessions, Instant deadline, Answer answer);

  /// End of a turn: sends what gathered. Without a leader it is answered.
  void flush();
  /// Another leader, or none: whoever was asked does not know any more.
  void on_leader_changed();
  /// What is known here, without asking: all if this server leads.
  LeaderView here() const;
  void receive_query(NodeId from, std::string_view bytes);
  void receive_reply(NodeId from, std::string_view bytes);
  void sweep(Instant now);
  Instant next_deadline() const { return deadlines_.next(); }
  void shut_down();
  size_t size() const { return gathered_.size() + sent_.size(); }

 private:
  /// What one view wants to know.
  struct Ask {
    std::vector<SessionId> sessions;
    Instant deadline;
    Answer answer;
  };
  struct Query {
    NodeId leader;
    std::vector<SessionId> sessions;  ///< in the order of the message
    std::vector<Ask> asks;            ///< that still wait
  };

  void send(Query&& query);
  void finish(const std::vector<Ask>& asks, const LeaderView& view);
  void go_without(const std::vector<Ask>& asks) { finish(asks, here()); }

  Host& host_;
  PeerCodec& codec_;
  const LeaseLeft own_;
  uint64_t last_number_;
  std::vector<Ask> gathered_;
  std::map<uint64_t, Query> sent_;
  size_t sessions_waiting_ = 0;
  DeadlineQueue deadlines_;
};

}  // namespace holdfast::server
