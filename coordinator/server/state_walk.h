// The present keys and locks in tree order, as a watch that fell behind is shown them.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/rsm/state_machine.h"
#include "coordinator/server/watch_codec.h"
#include "coordinator/watch/watches.h"

namespace holdfast::server {

/// The payload of a WalkItem: how many events, then their bytes as WireEvents reads them.
class StateItem {
 public:
  explicit StateItem(std::string_view payload) : payload_(payload) {}
  size_t events() const;
  std::string_view wire() const;

 private:
  std::string_view payload_;
};

class StateWalk final : public watch::Walk {
 public:
  StateWalk(const rsm::StateMachine& machine, EventEncoder& encoder)
      : machine_(machine), encoder_(encoder) {}
  bool next(const watch::WalkRange& range, size_t max, std::vector<watch::WalkItem>& out) override;

 private:
  bool next_keys(const watch::WalkRange& range, size_t max, std::vector<watch::WalkItem>& out);
  bool next_locks(const watch::WalkRange& range, size_t max, std::vector<watch::WalkItem>& out);
  void add_key(std::string_view path, const tree::Stat& stat, std::string_view value,
               std::vector<watch::WalkItem>& out);
  bool add_lock(std::string_view path, uint64_t after_holder, size_t max,
                std::vector<watch::WalkItem>& out);
  void add(std::string_view path, std::vector<watch::WalkItem>& out);

  struct Kept {
    std::string path;
    std::string payload;
  };

  const rsm::StateMachine& machine_;
  EventEncoder& encoder_;
  std::deque<Kept> kept_;  ///< what the items of the last call refer to
  std::vector<api::WatchEvent> events_;
};

}  // namespace holdfast::server
