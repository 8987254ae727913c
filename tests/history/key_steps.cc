#include "tests/history/key_steps.h"

namespace holdfast::history {

std::set<uint64_t> owners(const KeyHistory& keys) {
  std::set<uint64_t> all;
  for (const KeyCommand& command : keys.commands) {
    for (const auto* list : {&command.asked().writes, &command.asked().otherwise}) {
      for (const KeyWrite& write : *list) {
        if (write.ephemeral) all.insert(command.asked().session);
      }
    }
  }
  all.erase(0);
  return all;
}

std::set<std::string> mortals(const KeyHistory& keys) {
  std::set<std::string> all;
  for (const KeyCommand& command : keys.commands) {
    for (const auto* list : {&command.asked().writes, &command.asked().otherwise}) {
      for (size_t i = 0; i < list->size(); ++i) {
        const KeyWrite& write = (*list)[i];
        if (write.container || write.ttl_ms > 0) all.insert(command.path_of(write, i));
      }
    }
  }
  all.erase("");
  return all;
}

}  // namespace holdfast::history
