// What the search of keys has to place: what stands at a revision that is known, and what may have
// happened between that.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/history/timeline.h"

namespace holdfast::history {

/// It stands at a revision that is known. The order of the kinds is that within one revision.
struct Item {
  enum class Kind {
    kKeyEnd,          ///< key end `index` of the course
    kSessionEnd,      ///< session `index` ends
    kSessionOver,     ///< session `index` must have ended
    kWrite,           ///< command `index` is applied
    kMade,            ///< what read `index` shows was created
    kRead,            ///< read `index` is answered
    kRefusalOver,     ///< command `index` must have met a state that refuses it
    kRefusalPossible  ///< from here on command `index` may meet one
  };
  Kind kind = Kind::kRead;
  uint64_t revision = 0;
  uint64_t index = 0;
};

/// What may have happened at any revision after `after`, or not at all. The end of a key may come
/// again and again.
struct Loose {
  bool is_end = false;  ///< of session `index`; else command `index`
  std::string ends;     ///< not empty: the TTL key or container that ends by itself
  uint64_t index = 0;
  uint64_t after = 0;
  uint64_t until = kNoRevision;
  bool holds = true;  ///< what the conditions on locks come to
  /// If there is a course: at one of these.
  const std::vector<uint64_t>* revisions = nullptr;
};

/// Sessions whose end these keys notice.
std::set<uint64_t> owners(const KeyHistory& keys);
/// Keys that may end by themselves.
std::set<std::string> mortals(const KeyHistory& keys);

}  // namespace holdfast::history
