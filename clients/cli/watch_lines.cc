#include "clients/cli/watch_lines.h"

#include <cstdio>

#include "clients/cli/key_json.h"
#include "clients/cli/table.h"
#include "clients/cli/tenure_words.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

std::string line_of(const json& document) {
  // Paths are UTF-8, values are in base 64 if they are not.
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

/// For people: the revision and what happened, in columns.
std::string line_of(int64_t revision, const std::string& type, const std::string& rest) {
  char columns[64];
  std::snprintf(columns, sizeof columns, "%10lld  %-8s", static_cast<long long>(revision),
                type.c_str());
  return std::string(columns) + "  " + rest + "\n";
}

const char* removal_name(api::RemovalReason::type reason) {
  switch (reason) {
    case api::RemovalReason::SESSION_ENDED:
      return "session ended";
    case api::RemovalReason::TTL_PASSED:
      return "ttl passed";
    case api::RemovalReason::CONTAINER_EMPTY:
      return "container empty";
    default:
      return "removed";
  }
}

bool is_lock(const api::WatchEvent& event) {
  return event.eventType == api::EventType::LOCK_GRANTED ||
         event.eventType == api::EventType::LOCK_ENDED;
}

const char* type_name(const client::WatchBatch& batch, const api::WatchEvent& event) {
  switch (event.eventType) {
    case api::EventType::KEY_CREATED:
      return batch.resync ? "present" : "created";
    case api::EventType::KEY_CHANGED:
      return "changed";
    case api::EventType::KEY_REMOVED:
      return "removed";
    case api::EventType::LOCK_GRANTED:
      return batch.resync ? "held" : "granted";
    case api::EventType::LOCK_ENDED:
      return "ended";
    default:
      return "unknown";
  }
}

const char* end_name(const api::WatchEvent& event) {
  return end_reason_words(static_cast<api::EndReason::type>(event.endReason));
}

json lock_json(const api::WatchEvent& event) {
  json out = {
      {"holder_id", event.holderId}, {"token", event.token}, {"session_id", event.sessionId}};
  if (event.eventType == api::EventType::LOCK_ENDED) out["reason"] = end_name(event);
  return out;
}

json key_json(const api::WatchEvent& event, bool with_value) {
  json out = {{"version", event.version},
              {"create_revision", event.createRevision},
              {"modify_revision", event.modifyRevision},
              {"ephemeral_owner", event.ephemeralOwner}};
  const bool removed = event.eventType == api::EventType::KEY_REMOVED;
  if (removed) out["reason"] = removal_name(event.removal);
  if (with_value && !removed) add_bytes(out, "value", event.value);
  return out;
}

std::string details(const api::WatchEvent& event, bool with_value) {
  if (event.eventType == api::EventType::LOCK_ENDED) {
    return "holder " + std::to_string(event.holderId) + ": " + end_name(event);
  }
  if (event.eventType == api::EventType::LOCK_GRANTED) {
    return "holder " + std::to_string(event.holderId) + ", token " + std::to_string(event.token) +
           ", session " + std::to_string(event.sessionId);
  }
  if (event.eventType == api::EventType::KEY_REMOVED) return removal_name(event.removal);
  const std::string version = "version " + std::to_string(event.version);
  return with_value ? version + " = " + excerpt(event.value) : version;
}

}  // namespace

std::string beginning_line(const std::string& path, int64_t revision) {
  return line_of({{"type", "began"}, {"path", path}, {"revision", revision}});
}

std::string resync_line(const client::WatchBatch& batch, bool as_json) {
  if (as_json) {
    return line_of(
        {{"type", "resync"}, {"revision", batch.revision}, {"entries", batch.events.size()}});
  }
  return line_of(batch.revision, "resync", "all there is follows; what is not in it is gone");
}

std::string progress_line(int64_t revision, bool as_json) {
  if (as_json) return line_of({{"type", "progress"}, {"revision", revision}});
  return line_of(revision, "progress", "all up to here was shown");
}

std::string event_line(const client::WatchBatch& batch, const api::WatchEvent& event,
                       bool with_value, bool as_json) {
  const char* type = type_name(batch, event);
  if (!as_json) {
    return line_of(batch.revision, type, printable(event.path) + "  " + details(event, with_value));
  }
  json document = is_lock(event) ? lock_json(event) : key_json(event, with_value);
  document["type"] = type;
  document["path"] = event.path;
  document["revision"] = batch.revision;
  return line_of(document);
}

}  // namespace holdfast::cli
