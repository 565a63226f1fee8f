#pragma once

#include <string_view>

/// The error codes that something here is decided by, named as in PostgreSQL's errcodes.txt.
namespace ecmigrate::pg::sqlstate {

inline constexpr std::string_view k_connection_failure = "08006";
inline constexpr std::string_view k_invalid_parameter_value = "22023";
inline constexpr std::string_view k_read_only_sql_transaction = "25006";
inline constexpr std::string_view k_serialization_failure = "40001";
inline constexpr std::string_view k_deadlock_detected = "40P01";
inline constexpr std::string_view k_insufficient_privilege = "42501";
inline constexpr std::string_view k_untranslatable_character = "22P05";
inline constexpr std::string_view k_undefined_column = "42703";
inline constexpr std::string_view k_undefined_object = "42704";
inline constexpr std::string_view k_undefined_function = "42883";
inline constexpr std::string_view k_undefined_table = "42P01";
inline constexpr std::string_view k_datatype_mismatch = "42804";
inline constexpr std::string_view k_out_of_memory = "53200";
inline constexpr std::string_view k_object_in_use = "55006";
inline constexpr std::string_view k_lock_not_available = "55P03";
inline constexpr std::string_view k_query_canceled = "57014";  ///< by a timeout, too
inline constexpr std::string_view k_admin_shutdown = "57P01";
inline constexpr std::string_view k_crash_shutdown = "57P02";
inline constexpr std::string_view k_cannot_connect_now = "57P03";
inline constexpr std::string_view k_idle_session_timeout = "57P05";

/// Classes: the first two characters.
inline constexpr std::string_view k_connection_exception = "08";
inline constexpr std::string_view k_cardinality_violation = "21";  ///< a subquery gave two rows
inline constexpr std::string_view k_data_exception = "22";
inline constexpr std::string_view k_integrity_constraint_violation = "23";
inline constexpr std::string_view k_check_violation = "23514";
inline constexpr std::string_view k_external_routine_exception = "38";
inline constexpr std::string_view k_external_routine_invocation_exception = "39";
inline constexpr std::string_view k_syntax_error_or_access_rule_violation = "42";
inline constexpr std::string_view k_program_limit_exceeded = "54";  ///< an index row or a tsvector is too large
inline constexpr std::string_view k_plpgsql_error = "P0";

}  // namespace ecmigrate::pg::sqlstate
