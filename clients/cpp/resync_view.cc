#include "clients/cpp/resync_view.h"

#include <algorithm>
#include <utility>

namespace holdfast::client {

bool before_in_tree(std::string_view a, std::string_view b) {
  const auto rank = [](char c) { return c == '/' ? -1 : int{static_cast<unsigned char>(c)}; };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [&](char x, char y) { return rank(x) < rank(y); });
}

bool ResyncView::Place::operator<(const Place& other) const {
  if (lock != other.lock) return other.lock;
  if (path != other.path) return before_in_tree(path, other.path);
  return holder_id < other.holder_id;
}

void ResyncView::apply(const api::WatchEvent& event) {
  switch (event.eventType) {
    case api::EventType::KEY_CREATED:
    case api::EventType::KEY_CHANGED: {
      api::WatchEvent& item = there_[{false, event.path}];
      item = event;
      item.eventType = api::EventType::KEY_CREATED;
      break;
    }
    case api::EventType::KEY_REMOVED:
      there_.erase({false, event.path});
      break;
    case api::EventType::LOCK_GRANTED:
      there_[{true, event.path, event.holderId}] = event;
      break;
    case api::EventType::LOCK_ENDED:
      there_.erase({true, event.path, event.holderId});
      break;
    case api::EventType::UNSPECIFIED:
      break;
  }
}

std::vector<api::WatchEvent> ResyncView::take() {
  std::vector<api::WatchEvent> items;
  items.reserve(there_.size());
  for (auto& [place, item] : there_) items.push_back(std::move(item));
  there_.clear();
  return items;
}

}  // namespace holdfast::client
