// Asks a server what Trino's JDBC driver can ask; prints one `name: value` line for each answer.
// java -cp trino-jdbc.jar JdbcCheck.java URL CA_FILE USER MODE, the token on standard input;
// MODE is `accessToken` or `password`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;

public class JdbcCheck {
    interface Query {
        ResultSet run() throws SQLException;
    }

    static String read(Query query, String... columns) throws SQLException {
        List<String> rows = new ArrayList<>();
        try (ResultSet result = query.run()) {
            while (result.next()) {
                List<String> row = new ArrayList<>();
                for (String column : columns) {
                    row.add(result.getString(column));
                }
                rows.add(String.join("|", row));
            }
        }
        return String.join(" ", rows);
    }

    static void say(String name, Object value) {
        System.out.println(name + ": " + value);
    }

    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        say("product", about.getDatabaseProductName());
        say("catalogs", read(about::getCatalogs, "TABLE_CAT"));
        say("schemas", read(() -> about.getSchemas("lake", "sh%"), "TABLE_CATALOG", "TABLE_SCHEM"));
        say("tables", read(
                () -> about.getTables("lake", "shop", "%", null),
                "TABLE_NAME", "TABLE_TYPE", "REMARKS"));
        say("only tables", read(
                () -> about.getTables("lake", "shop", "%", new String[] {"TABLE"}), "TABLE_NAME"));
        say("table types", read(about::getTableTypes, "TABLE_TYPE"));
        say("columns", read(
                () -> about.getColumns("lake", "shop", "orders", "%"),
                "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS",
                "ORDINAL_POSITION", "REMARKS"));
        say("hidden columns", read(
                () -> about.getColumns("lake", "shop", "secret", "%"), "COLUMN_NAME"));
        say("types", read(about::getTypeInfo, "TYPE_NAME"));
        say("primary keys", read(() -> about.getPrimaryKeys("lake", "shop", "orders"), "COLUMN_NAME"));
        say("procedures", read(() -> about.getProcedures("lake", null, null), "PROCEDURE_NAME"));
        say("user types", read(() -> about.getUDTs("lake", null, null, null), "TYPE_NAME"));
        say("super tables", read(() -> about.getSuperTables("lake", null, null), "TABLE_NAME"));
        say("attributes", read(() -> about.getAttributes("lake", null, null, null), "ATTR_NAME"));
        say("pseudo columns", read(
                () -> about.getPseudoColumns("lake", null, null, null), "COLUMN_NAME"));
    }

    static void values(Connection connection) throws SQLException {
        String sql = """
                SELECT true, TINYINT '1', SMALLINT '2', INTEGER '3', BIGINT '4', REAL '0.5',
                  DOUBLE '1', CAST(0 AS double) / 0, DECIMAL '12345678901234567890.12', 'é"\\', X'00FF',
                  DATE '2026-02-28',
                  CAST(TIMESTAMP '2026-01-01 10:00:00.123456' AS timestamp(6)),
                  CAST(TIMESTAMP '2026-01-01 10:00:00 UTC' AS timestamp(6) with time zone),
                  ARRAY[1, NULL], MAP(ARRAY['a'], ARRAY[1]), CAST(NULL AS varchar),
                  UUID '12151fd2-7586-11e9-8f9e-2a86e4085a59', INTERVAL '3' DAY""";
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery(sql)) {
            ResultSetMetaData about = result.getMetaData();
            List<String> types = new ArrayList<>();
            for (int i = 1; i <= about.getColumnCount(); i++) {
                types.add(about.getColumnTypeName(i));
            }
            say("value types", String.join(" ", types));
            result.next();
            say("boolean", result.getBoolean(1));
            say("integers", result.getByte(2) + " " + result.getShort(3) + " " + result.getInt(4)
                    + " " + result.getLong(5));
            say("floats", result.getFloat(6) + " " + result.getDouble(7) + " " + result.getDouble(8));
            say("decimal", result.getBigDecimal(9));
            say("text", result.getString(10));
            say("bytes", Arrays.toString(result.getBytes(11)));
            say("date", result.getDate(12));
            say("timestamp", result.getString(13));
            say("instant", result.getTimestamp(14).toInstant());
            say("array", Arrays.toString((Object[]) result.getArray(15).getArray()));
            say("map", result.getObject(16));
            say("null", result.getString(17) + " " + result.wasNull());
            say("uuid", result.getObject(18));
            say("interval", result.getString(19));
        }
    }

    static void prepared(Connection connection) throws SQLException {
        String sql = "SELECT id, card FROM lake.shop.orders "
                + "WHERE amount > ? AND region <> ? AND id < ? ORDER BY id";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            say("prepared columns", statement.getMetaData().getColumnName(2));
            for (String amount : List.of("5.00", "25.00")) {
                statement.setBigDecimal(1, new BigDecimal(amount));
                statement.setString(2, "it's; --");
                statement.setLong(3, 100);
                say("over " + amount, read(statement::executeQuery, "id", "card"));
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?, ?, ?")) {
            statement.setDate(1, Date.valueOf("2026-01-02"));
            statement.setTimestamp(2, Timestamp.valueOf("2026-01-02 03:04:05"));
            statement.setNull(3, java.sql.Types.VARCHAR);
            try (ResultSet result = statement.executeQuery()) {
                result.next();
                say("parameters", result.getDate(1) + " " + result.getTimestamp(2) + " "
                        + result.getString(3));
            }
        }
    }

    static void writes(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            say("created", statement.executeUpdate("CREATE TABLE lake.shop.jdbc (a integer, b varchar)"));
            say("inserted", statement.executeUpdate("INSERT INTO lake.shop.jdbc VALUES (1, 'x'), (2, 'y')"));
            try (PreparedStatement insert =
                    connection.prepareStatement("INSERT INTO lake.shop.jdbc VALUES (?, ?)")) {
                for (int i = 3; i < 5; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "batch");
                    insert.addBatch();
                }
                say("batch", Arrays.toString(insert.executeBatch()));
            }
            say("updated", statement.executeUpdate("UPDATE lake.shop.jdbc SET b = 'z' WHERE a > 2"));
            say("written", read(
                    () -> statement.executeQuery("SELECT a, b FROM lake.shop.jdbc ORDER BY a"), "a", "b"));
            statement.executeUpdate("DROP TABLE lake.shop.jdbc");
        }
    }

    static void refusals(Connection connection) {
        for (String sql : List.of(
                "SELECT * FROM lake.shop.secret", "SELECT * FROM lake.shop.nothing", "SELEC")) {
            try (Statement statement = connection.createStatement()) {
                say("answer to " + sql, read(() -> statement.executeQuery(sql), "x"));
            } catch (SQLException failure) {
                say("error of " + sql, failure.getErrorCode());
            }
        }
    }

    static void session(Connection connection) throws SQLException {
        connection.setSchema("shop");
        try (Statement statement = connection.createStatement()) {
            say("cards", read(() -> statement.executeQuery("SELECT card FROM orders ORDER BY id"), "card"));
            statement.execute("USE lake.information_schema");
            say("schema after USE", connection.getSchema());
        }
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery(
                        "SELECT a.n FROM UNNEST(sequence(1, 200)) AS a(n) "
                                + "CROSS JOIN UNNEST(sequence(1, 1000)) AS b(n)")) {
            long rows = 0;
            while (result.next()) {
                rows++;
            }
            say("long result", rows);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String token = new BufferedReader(new InputStreamReader(System.in)).readLine();
        Properties properties = new Properties();
        properties.put("user", arguments[2]);
        properties.put("SSL", "true");
        properties.put("SSLTrustStorePath", arguments[1]);
        properties.put(arguments[3], token);
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            metadata(connection);
            values(connection);
            prepared(connection);
            session(connection);
            refusals(connection);
            if (arguments[2].equals("admin")) {
                writes(connection);
            }
        }
    }
}
