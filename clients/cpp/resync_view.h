// What a watch is shown while it is resynchronised, until it is whole (docs/watches.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gen/cpp/watch_types.h"

namespace holdfast::client {

/// Segment by segment, a path before what is below it: as the servers list keys.
bool before_in_tree(std::string_view a, std::string_view b);

class ResyncView {
 public:
  /// An item that is there, or a change of what was shown already.
  void apply(const api::WatchEvent& event);
  /// Everything that is there, as KEY_CREATED and LOCK_GRANTED, keys first; the view is empty then.
  std::vector<api::WatchEvent> take();

 private:
  struct Place {
    bool lock = false;
    std::string path;
    int64_t holder_id = 0;  ///< of a lock
    bool operator<(const Place& other) const;
  };

  std::map<Place, api::WatchEvent> there_;
};

}  // namespace holdfast::client
