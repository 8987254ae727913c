// What `holdfast status` says of one server.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "clients/cli/table.h"
#include "gen/cpp/admin_types.h"

namespace holdfast::cli {

/// `admin` is the address that was asked.
nlohmann::json status_json(const std::string& admin, const api::StatusResult& status);

/// With its heads and no row.
Table status_table();
void add_status(Table& table, const std::string& admin, const api::StatusResult& status);

/// Something is for an operator: an alarm, or a server that this one is not connected with.
bool is_degraded(const api::StatusResult& status);

/// The sentences below the table, a line each: the alarms, how much of another server's state has
/// come, and with whom it is not connected. Without one it is not degraded.
std::string status_notes(const std::string& admin, const api::StatusResult& status);

/// Why that server did not take over, as the leader sees it, or whoever else is among them.
std::string why_not_taken_over(int32_t node, const std::vector<api::StatusResult>& statuses);

}  // namespace holdfast::cli
