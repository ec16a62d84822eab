import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";

/** The routes of the Query page. */
export const queryRoutes = (root: AnyRoute): AnyRoute[] => [
  createRoute({
    getParentRoute: () => root,
    path: "/query",
    component: lazyRouteComponent(() => import("./QueryPage"), "QueryPage"),
  }),
];
