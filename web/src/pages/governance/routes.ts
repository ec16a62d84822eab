import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Governance page. */
export const governanceRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/governance",
    component: lazyRouteComponent(() => import("./GovernancePage"), "GovernancePage"),
  }),
];
