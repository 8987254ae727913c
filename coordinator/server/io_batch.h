// What goes between an I/O thread and the engine's thread: the calls of one turn one way, the
// answers of one turn the other way. Both are filled in place and used again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/net/socket.h"
#include "base/time.h"
#include "coordinator/server/port.h"
#include "coordinator/server/rpc_methods.h"
#include "coordinator/server/watch_codec.h"

namespace holdfast::server {

/// An item that carried more than this gives its memory back after use.
inline constexpr size_t kItemBytesKept = 512;

/// A list whose items keep what they have allocated when it is emptied, for the next use.
template <class Item>
class ReusedList {
 public:
  /// A longer list gives its memory back when it is emptied.
  static constexpr size_t kItemsKept = 1'024;

  /// The item that add() would add; as its last use left it.
  Item& next() {
    if (used_ == items_.size()) items_.emplace_back();
    return items_[used_];
  }
  Item& add() {
    Item& item = next();
    ++used_;
    return item;
  }
  std::span<Item> items() { return {items_.data(), used_}; }
  size_t size() const { return used_; }
  bool empty() const { return used_ == 0; }
  void clear() {
    if (used_ > kItemsKept) std::vector<Item>().swap(items_);
    used_ = 0;
  }

 private:
  std::vector<Item> items_;
  size_t used_ = 0;
};

/// From an I/O thread to the engine's.
struct IoCalls {
  struct Call {
    CallId id;
    uint32_t connection = 0;            ///< its number in the I/O thread's port
    const RpcMethod* method = nullptr;  ///< null: refused as overloaded, `why` says why
    RpcArguments arguments;
    size_t frame_bytes = 0;  ///< that they came in
    std::string why;
  };
  struct Pause {
    Instant from;
    Instant until;
  };

  ReusedList<Call> calls;
  size_t frame_bytes = 0;  ///< of all calls
  /// Of these or earlier calls, those whose connection is gone; each may be answered already.
  std::vector<CallId> abandoned;
  /// What had arrived by then on the first `adopted` connections is in this batch or an earlier
  /// one.
  Instant handled_until;
  uint64_t adopted = 0;
  std::vector<Pause> pauses;  ///< this thread did not run, and it was no sleep
  bool reported = false;      ///< the two below are of now: the report that was asked for
  size_t connections = 0;
  RpcPortStats stats;
};

template <class View>
struct ValueOf;
template <class... Results>
struct ValueOf<std::variant<const Results*...>> {
  using type = std::variant<api::HoldfastError, Results...>;
};

/// From the engine's thread to an I/O thread.
struct IoAnswers {
  struct Answer {
    CallId id;
    bool cut_off = false;  ///< what waits for its client has no room: the connection is to end
    ValueOf<ReplyView>::type value;
  };

  ReusedList<Answer> answers;
  std::vector<net::Socket> sockets;  ///< accepted, for this thread to serve
  Instant report_until;              ///< send a batch once IoCalls::handled_until has reached this
  bool serve = false;                ///< the engine is there: connections may be read
  bool last = false;                 ///< nothing follows: close the connections and end

  bool empty() const {
    return answers.empty() && sockets.empty() && report_until == Instant{} && !serve && !last;
  }
};

}  // namespace holdfast::server
