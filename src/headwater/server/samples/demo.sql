-- Demo users of the sample lake. `analyst` sees the trips of one borough, without tips and cards
-- (nor the total, from which the tip could be worked out).
-- It reads all other tables. `guest` may read everything but `ltv`, which does not exist for it.
CREATE USER IF NOT EXISTS analyst;
CREATE USER IF NOT EXISTS guest;
GRANT SELECT ON SCHEMA sample TO USER analyst;
CREATE OR REPLACE ROW FILTER one_borough ON sample.nyc_taxi_trips
  USING (pickup_borough = 'Brooklyn') TO USER analyst;
CREATE OR REPLACE COLUMN MASK no_tip ON sample.nyc_taxi_trips (tip_amount)
  USING replace-with-null TO USER analyst;
CREATE OR REPLACE COLUMN MASK no_total ON sample.nyc_taxi_trips (total_amount)
  USING replace-with-null TO USER analyst;
CREATE OR REPLACE COLUMN MASK card_end ON sample.nyc_taxi_trips (card_number)
  USING show-last-4 TO USER analyst;
GRANT SELECT ON TABLE sample.nyc_taxi_trips TO USER guest;
GRANT SELECT ON TABLE sample.churn TO USER guest;
GRANT SELECT ON TABLE sample.flights TO USER guest;
GRANT SELECT ON TABLE sample.airlines TO USER guest;
GRANT SELECT ON TABLE sample.airports TO USER guest;
GRANT SELECT ON TABLE sample.planes TO USER guest;
GRANT SELECT ON TABLE sample.weather TO USER guest;
